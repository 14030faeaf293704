"""Mixup, CutMix and random erasing: labels follow pixels, and draws follow the seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from hwnas.train.mixing import ERASED_SHARE, cutmix, erase, mixed, mixup
from hwnas.train.recipe import QUICK

COUNT, SIZE = 12, 16


def _numbered(count: int = COUNT, size: int = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of one value each, their own number, and a class of its own for each."""
    images = torch.arange(1.0, count + 1)[:, None, None, None].expand(count, 3, size, size)
    return images.contiguous(memory_format=torch.channels_last), torch.arange(count)


def _shares(images: torch.Tensor) -> torch.Tensor:
    """Return which share of an image's pixels are of which numbered one, (n, n)."""
    values = images[:, 0].flatten(1)
    return torch.stack([(values == number + 1).float().mean(1) for number in range(COUNT)], 1)


@given(seed=st.integers(0, 10**6), alpha=st.floats(0.05, 5))
def test_cutmix_labels_are_the_shares_of_the_pixels(seed: int, alpha: float) -> None:
    images, labels = _numbered()
    one_hot = functional.one_hot(labels, COUNT).float()
    found, probabilities = cutmix(images, one_hot, alpha, np.random.default_rng(seed))
    assert torch.allclose(_shares(found), probabilities, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, _numbered()[0])


@given(seed=st.integers(0, 10**6), alpha=st.floats(0.05, 5))
def test_mixup_labels_are_the_shares_of_the_images(seed: int, alpha: float) -> None:
    images, labels = _numbered()
    one_hot = functional.one_hot(labels, COUNT).float()
    found, probabilities = mixup(images, one_hot, alpha, np.random.default_rng(seed))
    assert torch.allclose(probabilities.sum(1), torch.ones(COUNT))
    blended = probabilities @ torch.arange(1.0, COUNT + 1)
    assert torch.allclose(found, blended[:, None, None, None].expand_as(found), atol=1e-4)


def test_erased_rectangles_are_as_many_and_as_large_as_published() -> None:
    images = torch.ones(4000, 3, 32, 32)
    erased = erase(images, 0.25, np.random.default_rng(0)) == 0
    assert torch.equal(erased[:, 0], erased[:, 2])
    areas = erased[:, 0].float().mean((1, 2))
    touched = areas > 0
    assert touched.float().mean() == pytest.approx(0.25, abs=0.03)
    assert areas[touched].mean() == pytest.approx(sum(ERASED_SHARE) / 2, abs=0.02)
    for mask in erased[touched][:100, 0]:
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert mask.sum() == rows * columns  # a rectangle
    assert erased[:, 0].any(0).all()  # anywhere


def _batches(start: int = 0, stop: int = 8) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(8, 5, 3, 8, 8, generator=generator)
    return [(images[number], torch.arange(5)) for number in range(start, stop)]


def test_a_batch_depends_on_the_seed_and_its_number_alone() -> None:
    recipe = replace(QUICK, mixup=0.2, cutmix=1.0, erasing=0.5)
    whole = list(mixed(_batches(), recipe, 5, seed=3))
    later = list(mixed(_batches(5), recipe, 5, seed=3, start=5))
    for (images, labels), (again, same) in zip(whole[5:], later, strict=True):
        assert torch.equal(images, again)
        assert torch.equal(labels, same)
    other = list(mixed(_batches(), recipe, 5, seed=4))
    assert not torch.equal(whole[0][0], other[0][0])


def test_both_kinds_of_mixing_occur_and_labels_are_probabilities() -> None:
    recipe = replace(QUICK, mixup=1.0, cutmix=1.0)
    kinds = set()
    for (before, _), (after, labels) in zip(
        _batches(), mixed(_batches(), recipe, 5, 0), strict=True
    ):
        assert labels.shape == (5, 5)
        assert labels.dtype == torch.float32
        untouched = (before == after).float().mean()
        kinds.add("cutmix" if 0 < untouched < 1 and _copies(before, after) else "mixup")
    assert kinds == {"cutmix", "mixup"}


def _copies(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Return whether every pixel is one of the same place in some image."""
    return bool((after[:, None] == before[None]).any(1).all())


def test_without_mixing_labels_stay_class_numbers_and_images_what_they_are() -> None:
    batches = _batches()
    for (before, labels), (after, same) in zip(batches, mixed(batches, QUICK, 5, 0), strict=True):
        assert after is before
        assert same is labels
    erased = mixed(batches, replace(QUICK, erasing=1.0), 5, 0)
    assert all(labels.dtype == torch.int64 for _, labels in erased)
