"""Random crops of large images: inside the image, of the promised area, as torchvision's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pictures import encoded, pixels, write_classes
from torchvision.transforms import functional as witness

from hwnas.data.augment import CROP_AREA, _crops, centres, random_crops
from hwnas.data.catalog import find_dataset
from hwnas.errors import UserError
from hwnas.graph.inputs import IMAGENET_MEAN
from hwnas.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _boxes(count: int, seed: int) -> np.ndarray:
    """Left, top, width, height as shares of the image; and whether it is flipped."""
    affine = _crops(count, np.random.default_rng(seed)).astype(float)
    width, height = np.abs(affine[:, 0, 0]), affine[:, 1, 1]
    left, top = (affine[:, 0, 2] - width + 1) / 2, (affine[:, 1, 2] - height + 1) / 2
    return np.stack([left, top, width, height, affine[:, 0, 0] < 0], 1)


def test_crops_lie_inside_have_the_promised_area_and_half_are_flipped() -> None:
    left, top, width, height, flipped = _boxes(5000, 0).T
    assert min(left.min(), top.min()) >= -1e-6
    assert max((left + width).max(), (top + height).max()) <= 1 + 1e-6
    area = width * height
    assert CROP_AREA[0] * 0.74 <= area.min()
    assert area.max() <= 1 + 1e-6
    assert 0.55 < area.mean() < 0.65
    assert 0.47 < flipped.mean() < 0.53
    assert 0.25 < (left / (1 - width + 1e-9)).std() < 0.32


@pytest.mark.parametrize(("stored", "resolution"), [(64, 48), (64, 64), (40, 56)])
def test_crops_are_those_of_torchvision(stored: int, resolution: int) -> None:
    images = np.stack([pixels(number, stored, stored) for number in range(8)])
    found = random_crops(torch.from_numpy(images), resolution, np.random.default_rng(5))
    for image, crop, box in zip(images, found, _boxes(8, 5), strict=True):
        # torchvision crops at whole pixels: so both look at an image enlarged eight times.
        large = witness.resize(
            torch.from_numpy(image.copy()).permute(2, 0, 1).float(), [8 * stored] * 2
        )
        left, top, width, height = np.rint(box[:4] * 8 * stored).astype(int)
        expected = witness.resized_crop(large, top, left, height, width, [resolution] * 2)
        if box[4]:
            expected = witness.hflip(expected)
        assert (255 * crop - expected).abs().mean() < 2.5


def test_what_is_stored_at_twice_the_resolution_is_averaged() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 255
    images = np.repeat(board.astype(np.uint8)[None, :, :, None], 3, axis=3)
    whole = random_crops(torch.from_numpy(images), 32, _Whole())
    assert (whole - 0.5).abs().max() < 1e-6


class _Whole:
    """Draws the whole image, upright."""

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return np.full(size, {CROP_AREA: 1.0}.get((low, high), (low + high) / 2))

    def integers(self, low: int, high: int, count: int) -> np.ndarray:
        return np.zeros(count, int)


def test_evaluation_looks_at_the_central_seven_eighths() -> None:
    images = np.zeros((2, 256, 256, 3), np.uint8)
    images[:, 16:240, 16:240] = 200
    found = centres(images, 224)
    assert found.shape == (2, 224, 224, 3)
    assert (found == 200).all()
    assert (centres(images, 112) == 200).all()


def test_large_images_give_the_same_batches_again_and_after_a_stop(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "d", {"a": 60, "b": 60})
    data = find_dataset(f"folder:{root}")
    size = data.train_size
    assert size == 120 - 2 * 12
    whole = list(data.train_batches(2 * size, 20, 32, seed=1))
    again = list(find_dataset(f"folder:{root}").train_batches(2 * size, 20, 32, seed=1, start=3))
    assert torch.cat([labels for _, labels in whole]).bincount().tolist() == [size, size]
    for ours, theirs in zip(whole[3:], again, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
    images, _ = whole[0]
    assert images.shape == (20, 3, 32, 32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    other = next(iter(data.train_batches(20, 20, 32, seed=2)))
    assert not torch.equal(other[0], images)


def test_content_of_large_images_is_known_at_any_size(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "d", {"a": 30, "b": 30})
    first, second = (find_dataset(f"folder:{root}") for _ in range(2))
    first.prepare(32, Silent())
    second.prepare(40, Silent())
    assert first.fingerprint == second.fingerprint
    assert first.images.mean == IMAGENET_MEAN
    assert np.array_equal(first.splits.train, second.splits.train)


def test_a_few_large_images_do_not_take_the_whole_data_set(tmp_path: Path, cache: Path) -> None:
    write_classes(tmp_path / "d" / "train", {"a": 300, "b": 300})
    write_classes(tmp_path / "d" / "val", {"a": 10, "b": 10}, first=5000)
    data = find_dataset(f"folder:{tmp_path / 'd'}")
    few, real = next(iter(data.train_batches(64, 64, 40, seed=0))), data.real_images(4, 40)
    assert not list(cache.rglob("pixels.npy"))
    data.prepare(40, Silent())
    assert list(cache.rglob("pixels.npy"))
    assert torch.equal(few[0], next(iter(data.train_batches(64, 64, 40, seed=0)))[0])
    assert np.array_equal(real, data.real_images(4, 40))
    (tmp_path / "d" / "val" / "a" / "0000.png").write_bytes(encoded(1)[:50])
    changed = find_dataset(f"folder:{tmp_path / 'd'}")
    with pytest.raises(UserError, match=r"a/0000\.png of .*val cannot be decoded"):
        changed.real_images(20, 40)
