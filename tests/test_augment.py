"""Random crops of large images: inside the image, of the promised area, as torchvision's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pictures import encoded, pixels, write_classes
from torchvision.transforms import functional as witness

from hwnas.data.augment import CROP_AREA, Boxes, centres, crops_in_turn, crops_together
from hwnas.data.catalog import find_dataset
from hwnas.errors import UserError
from hwnas.graph import ImageInput
from hwnas.graph.inputs import IMAGENET_MEAN
from hwnas.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


PLAIN = ImageInput((0.0,) * 3, (1.0,) * 3, ("a",))


def test_boxes_lie_inside_have_the_promised_area_and_half_are_flipped() -> None:
    side = 400
    boxes = Boxes.draw(5000, side, np.random.default_rng(0))
    left, top, width, height = boxes.left, boxes.top, boxes.width, boxes.height
    assert min(left.min(), top.min()) == 0
    assert max((left + width).max(), (top + height).max()) == side
    area = width * height / side**2
    assert CROP_AREA[0] * 0.74 <= area.min()
    assert 0.55 < area.mean() < 0.65
    assert 0.99 < np.exp(np.log(width / height).mean()) < 1.01
    assert 0.47 < boxes.flipped.mean() < 0.53
    free = (side - width) > 0
    assert 0.25 < (left[free] / (side - width)[free]).std() < 0.35


@pytest.mark.parametrize(("stored", "resolution"), [(64, 48), (64, 64), (40, 56), (64, 32)])
def test_crops_are_those_of_torchvision(stored: int, resolution: int) -> None:
    pictures = np.stack([pixels(number, stored, stored) for number in range(16)])
    boxes = Boxes.draw(16, stored, np.random.default_rng(5))
    images, count = torch.from_numpy(pictures), 0
    in_turn = crops_in_turn(images, boxes, resolution, PLAIN)
    together = crops_together(images, boxes, resolution, PLAIN)
    for number, image in enumerate(images):
        box = boxes.top[number], boxes.left[number], boxes.height[number], boxes.width[number]
        size = [resolution, resolution]
        expected = witness.resized_crop(image.permute(2, 0, 1), *box, size, antialias=True)
        if boxes.flipped[number]:
            expected, count = witness.hflip(expected), count + 1
        assert (255 * in_turn[number] - expected).abs().max() < 1.01
        assert (255 * together[number] - expected).abs().mean() < 2
    assert 0 < count < 16
    for found in (in_turn, together):
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_crops_are_normalised() -> None:
    images = torch.full((3, 16, 16, 3), 51, dtype=torch.uint8)
    about = ImageInput((0.1, 0.2, 0.3), (0.1, 0.2, 0.4), ("a",))
    boxes = Boxes.draw(3, 16, np.random.default_rng(0))
    for cropped in (crops_in_turn, crops_together):
        found = cropped(images, boxes, 8, about)
        assert torch.allclose(found[:, :, 2, 3], torch.tensor([1.0, 0.0, -0.25]), atol=1e-6)


def test_what_is_stored_at_twice_the_resolution_is_averaged() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 255
    images = torch.from_numpy(np.repeat(board.astype(np.uint8)[None, :, :, None], 3, axis=3))
    zero, all_of_it = np.array([0]), np.array([64])
    whole = Boxes(zero, zero, all_of_it, all_of_it, np.array([False]))
    for cropped in (crops_in_turn, crops_together):
        assert (cropped(images, whole, 32, PLAIN) - 0.5).abs()[:, :, 1:-1, 1:-1].max() < 0.01


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
