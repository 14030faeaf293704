"""Data sets: the same images for the same seed, no image in two splits, damage named."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from hwnas.data.catalog import find_dataset
from hwnas.data.cluttered import ClutteredDigits
from hwnas.errors import UserError

NAMES = ["cat", "dog", "owl"]
SIZE = 12


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _png(value: int, size: tuple[int, int] = (SIZE, SIZE)) -> dict[str, object]:
    stream = io.BytesIO()
    pixels = np.full((*size, 3), value % 256, np.uint8)
    pixels[0, 0] = (value // 256, 1, 2)
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def _write(path: Path, count: int, *, first: int = 0, **columns: list[object]) -> Path:
    labels = [index % len(NAMES) for index in range(count)]
    data = {"image": [_png(first + i) for i in range(count)], "label": labels} | columns
    features = {"label": {"names": NAMES, "_type": "ClassLabel"}}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({k: v for k, v in data.items() if v is not None})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(about), path)
    return path


def _bytes(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


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
    parts = [set(data._originals[name].tolist()) for name in ("train", "search", "final")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797
    images, labels = data.held_out("search", 20, 500)
    assert images.shape == (500, 3, 20, 20)
    pixels = images * 0.3 + 0.2
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6
    assert torch.bincount(labels, minlength=10).min() > 20
    real = data.real_images(8, 16)
    assert real.dtype == np.uint8
    assert real.shape == (8, 16, 16, 3)


def test_parquet_images_are_split_and_named(tmp_path: Path) -> None:
    _write(tmp_path / "d" / "train-0.parquet", 300)
    _write(tmp_path / "d" / "test-0.parquet", 60, first=1000)
    data = find_dataset(f"parquet:{tmp_path / 'd'}")
    assert data.images.labels == tuple(NAMES)
    search, labels = data.held_out("search", SIZE, 10_000)
    assert torch.bincount(labels).tolist() == [10, 10, 10]
    assert data.train_size == 270
    final, _ = data.held_out("final", SIZE, 10_000)
    assert len(final) == 60
    assert not _bytes(search.numpy()) & _bytes(final.numpy())
    assert data.real_images(5, SIZE).shape == (5, SIZE, SIZE, 3)
    small, _ = data.held_out("final", 8, 7)
    assert small.shape == (7, 3, 8, 8)


def test_parquet_epochs_visit_every_training_image_once(tmp_path: Path) -> None:
    data = find_dataset(f"parquet:{_write(tmp_path / 'one.parquet', 300)}")
    assert data.train_size == 300 - 2 * 30
    batches = list(data.train_batches(2 * data.train_size, 50, SIZE, seed=1))
    assert sum(len(labels) for _, labels in batches) == 2 * data.train_size
    classes = torch.cat([labels for _, labels in batches])
    assert torch.bincount(classes).tolist() == [160, 160, 160]
    resumed = next(data.train_batches(2 * data.train_size, 50, SIZE, seed=1, start=5))
    assert torch.equal(resumed[0], batches[5][0])
    mean = torch.cat([images for images, _ in batches]).mean()
    assert abs(mean) < 0.6


def test_a_second_load_comes_from_the_cache(tmp_path: Path, cache: Path) -> None:
    path = _write(tmp_path / "one.parquet", 60)
    before = find_dataset(f"parquet:{path}").fingerprint
    (folder,) = cache.iterdir()
    written = (folder / "pixels.npy").stat().st_mtime_ns
    assert find_dataset(f"parquet:{path}").fingerprint == before
    assert (folder / "pixels.npy").stat().st_mtime_ns == written
    _write(path, 60, first=7)
    assert find_dataset(f"parquet:{path}").fingerprint != before


DAMAGE = {
    "no label": ({"label": None}, "no column 'label'"),
    "no image": ({"image": None}, "no column 'image'"),
    "text labels": ({"label": ["cat"] * 30}, "class numbers"),
    "corrupt image": (
        {"image": [*[_png(i) for i in range(17)], {"bytes": b"no image", "path": None}] * 2},
        "row 17",
    ),
    "not square": ({"image": [_png(i, (8, 9)) for i in range(30)]}, "must be square"),
    "two sizes": ({"image": [_png(i, (8 + i // 20,) * 2) for i in range(30)]}, "row 20"),
    "class missing": ({"label": [0, 1] * 15}, "no image of class 'owl'"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_line_with_the_file(tmp_path: Path, kind: str) -> None:
    columns, told = DAMAGE[kind]
    count = 36 if kind == "corrupt image" else 30
    path = _write(tmp_path / "one.parquet", count, **columns)
    data = find_dataset(f"parquet:{path}")
    with pytest.raises(UserError, match=told) as error:
        data.held_out("search", SIZE, 10)
    assert "one.parquet" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    path = _write(tmp_path / "one.parquet", 30)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        find_dataset(f"parquet:{path}").images  # noqa: B018 - reading is what fails


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for spec, told in (
        (f"parquet:{tmp_path / 'none'}", "does not exist"),
        (f"parquet:{tmp_path / 'empty'}", r"no \*\.parquet"),
        ("cifar10", "--data-dir"),
        ("cifar11", "Did you mean 'cifar10'"),
    ):
        with pytest.raises(UserError, match=told):
            find_dataset(spec)
    with pytest.raises(UserError, match="is missing"):
        find_dataset("cifar100", tmp_path)


def test_real_cifar_10(tmp_path: Path) -> None:
    folder = os.environ.get("HWNAS_TEST_DATA")
    if not folder:
        pytest.skip("HWNAS_TEST_DATA does not name a folder with cifar10/")
    data = find_dataset("cifar10", Path(folder))
    assert data.images.labels[3] == "cat"
    assert data.train_size == 48_000
    assert len(data.held_out("final", 32, 10_000)[1]) == 10_000
    images, labels = next(data.train_batches(64, 64, 16, seed=0))
    assert images.shape == (64, 3, 16, 16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64
