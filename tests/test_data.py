"""Cluttered digits: the same images for the same seed, no original in two splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from hwnas.data import clutter
from hwnas.data.cluttered_digits import ClutteredDigits
from hwnas.data.sources import arrays


@pytest.mark.parametrize("found", [True, False])
def test_the_digits_are_those_that_scikit_learn_loads(
    found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read from its file, and by itself where there is no such file."""
    if not found:
        monkeypatch.setattr(arrays, "find_spec", lambda _: None)
    pixels, labels = arrays.bundled_digits()
    values, classes = load_digits(return_X_y=True)
    assert np.array_equal(pixels.reshape(-1, 64), values)
    assert np.array_equal(labels, classes)


def test_cluttered_digits_are_the_same_for_the_same_seed() -> None:
    data = ClutteredDigits()
    first, again = (list(data.train_batches(200, 64, 16, seed=3)) for _ in range(2))
    assert [len(labels) for _, labels in first] == [64, 64, 64, 8]
    for (images, labels), (images2, labels2) in zip(first, again, strict=True):
        assert torch.equal(images, images2)
        assert torch.equal(labels, labels2)
    later = list(data.train_batches(200, 64, 16, seed=3, start=2))
    assert torch.equal(later[0][0], first[2][0])
    other = next(data.train_batches(200, 64, 16, seed=4))
    assert not torch.equal(other[0], first[0][0])


def test_cluttered_digits_split_originals_and_stay_in_range() -> None:
    data = ClutteredDigits()
    splits = clutter.originals(torch.device("cpu")).splits
    parts = [set(splits[name].tolist()) for name in ("train", "search", "final")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797
    images, labels = next(data.held_out("search", 20, 500))
    assert images.shape == (500, 3, 20, 20)
    pixels = images * 0.3 + 0.2
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6
    assert torch.bincount(labels, minlength=10).min() > 20
    real = data.real_images(8, 16)
    assert real.dtype == np.uint8
    assert real.shape == (8, 16, 16, 3)


def test_held_out_images_come_in_parts_that_fit_into_memory() -> None:
    data = ClutteredDigits()
    sizes = [images.nbytes for images, _ in data.held_out("final", 512, 45)]
    assert len(sizes) == 2
    assert max(sizes) < 2**27
    (images, _), (more, _) = data.held_out("final", 512, 45)
    assert len(images) + len(more) == 45
    assert not torch.equal(images[0], more[0])
