"""Parquet images: every image once per epoch, none in two splits, decoded once, damage named."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from hwnas.data.catalog import find_dataset
from hwnas.data.decoding.store import Decoded, decoded, remembered_side
from hwnas.data.sources.parquet import ParquetSource
from hwnas.errors import MissingPackage, UserError
from hwnas.progress import Silent

if TYPE_CHECKING:
    from hwnas.data.dataset import Dataset, Split

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


def _decoded(path: Path) -> Decoded:
    source = ParquetSource(path, [path])
    return decoded(source, remembered_side(source, Silent()), Silent())


def _held_out(data: Dataset, split: Split, size: int, count: int = 10_000) -> list[torch.Tensor]:
    """Images and labels of all batches."""
    parts = zip(*data.held_out(split, size, count), strict=True)
    return [torch.cat(part) for part in parts]


def _bytes(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_parquet_images_are_split_and_named(tmp_path: Path) -> None:
    _write(tmp_path / "d" / "train-0.parquet", 300)
    _write(tmp_path / "d" / "test-0.parquet", 60, first=1000)
    data = find_dataset(f"parquet:{tmp_path / 'd'}")
    assert data.images.labels == tuple(NAMES)
    search, labels = _held_out(data, "search", SIZE)
    assert torch.bincount(labels).tolist() == [10, 10, 10]
    assert data.train_size == 270
    final, _ = _held_out(data, "final", SIZE)
    assert len(final) == 60
    assert not _bytes(search.numpy()) & _bytes(final.numpy())
    assert data.real_images(5, SIZE).shape == (5, SIZE, SIZE, 3)
    assert data.real_images(4, 4 * SIZE).shape == (4, 4 * SIZE, 4 * SIZE, 3)
    small, _ = _held_out(data, "final", 8, 7)
    assert small.shape == (7, 3, 8, 8)


def test_a_rare_class_keeps_images_to_train_on(tmp_path: Path) -> None:
    labels: list[object] = [0] * 280 + [1] * 15 + [2] * 5
    data = find_dataset(f"parquet:{_write(tmp_path / 'one.parquet', 300, label=labels)}")
    splits = data.splits
    assert sorted([*splits.train, *splits.search, *splits.final]) == list(range(300))
    classes = np.array(labels)
    for rows, counts in (
        (splits.train, [224, 11, 3]),
        (splits.search, [28, 2, 1]),
        (splits.judge, [28, 2, 1]),
        (splits.final, [28, 2, 1]),
    ):
        assert np.bincount(classes[rows]).tolist() == counts
    assert classes[splits.search][:6].tolist() == [0, 1, 2, 0, 1, 0]


def test_parquet_epochs_visit_every_training_image_once(tmp_path: Path) -> None:
    data = find_dataset(f"parquet:{_write(tmp_path / 'one.parquet', 300)}")
    assert data.train_size == 300 - 2 * 30
    batches = list(data.train_batches(2 * data.train_size, 50, SIZE, seed=1))
    assert sum(len(labels) for _, labels in batches) == 2 * data.train_size
    classes = torch.cat([labels for _, labels in batches])
    assert torch.bincount(classes).tolist() == [160, 160, 160]
    for size in (SIZE, 8, 20):
        whole = list(data.train_batches(2 * data.train_size, 50, size, seed=1))
        resumed = list(data.train_batches(2 * data.train_size, 50, size, seed=1, start=5))
        assert len(resumed) == len(whole) - 5
        assert torch.equal(resumed[0][0], whole[5][0])
        assert whole[0][0].shape[2:] == (size, size)
        assert abs(torch.cat([images for images, _ in whole]).mean()) < 0.3


def test_crops_are_shifted_and_half_are_flipped(tmp_path: Path) -> None:
    ramp = np.zeros((16, 16, 3), np.uint8)
    ramp[..., 0] = 16 * np.arange(16)
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, "PNG")
    images: list[object] = [{"bytes": stream.getvalue(), "path": None}] * 300
    data = find_dataset(f"parquet:{_write(tmp_path / 'one.parquet', 300, image=images)}")
    (batch, _), *_ = data.train_batches(200, 200, 16, seed=0)
    red = batch[:, 0, 8] * data.images.std[0] + data.images.mean[0]
    middle = (255 * red[:, 4:12]).round()
    rising = (middle.diff(dim=1) == 16).all(dim=1)
    falling = (middle.diff(dim=1) == -16).all(dim=1)
    assert (rising | falling).all()
    assert 70 < rising.sum() < 130
    assert len(middle[rising, 0].unique()) == 5


def test_a_second_load_comes_from_the_cache(tmp_path: Path, cache: Path) -> None:
    path = _write(tmp_path / "one.parquet", 60)
    before = find_dataset(f"parquet:{path}").fingerprint
    (folder,) = (entry for entry in cache.iterdir() if entry.is_dir())
    written = (folder / "pixels.npy").stat().st_mtime_ns
    assert find_dataset(f"parquet:{path}").fingerprint == before
    assert (folder / "pixels.npy").stat().st_mtime_ns == written
    _write(path, 60, first=7)
    assert find_dataset(f"parquet:{path}").fingerprint != before


def test_statistics_are_those_of_the_pixels(tmp_path: Path) -> None:
    path = _write(tmp_path / "one.parquet", 300)
    images, pixels = find_dataset(f"parquet:{path}").images, _decoded(path).pixels / 255
    assert images.mean == pytest.approx(pixels.mean((0, 1, 2)), abs=1e-4)
    assert images.std == pytest.approx(np.maximum(pixels.std((0, 1, 2)), 0.01), abs=1e-4)


def test_images_of_other_sizes_are_cut_and_resized(tmp_path: Path) -> None:
    sizes = [(9, 9)] * 20 + [(12, 9)] * 5 + [(30, 40)] * 5
    images: list[object] = [_png(200, size) for size in sizes]
    pixels = _decoded(_write(tmp_path / "one.parquet", 30, image=images)).pixels
    assert pixels.shape == (30, 9, 9, 3)
    assert (pixels[:, 4, 4] == 200).all()


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    path = _write(tmp_path / "one.parquet", 30)
    table = parquet.read_table(path).replace_schema_metadata(None)
    parquet.write_table(table.rename_columns(["image", "fine_label"]), path)
    assert find_dataset(f"parquet:{path}").images.labels == ("class 0", "class 1", "class 2")


def _decode(path: Path, results: multiprocessing.Queue[str]) -> None:
    results.put(_decoded(path).digest)


def test_processes_that_decode_at_once_get_the_same(tmp_path: Path, cache: Path) -> None:
    path = _write(tmp_path / "one.parquet", 600)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_decode, args=(path, results)) for _ in range(2)]
    for process in processes:
        process.start()
    digests = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert digests == {_decoded(path).digest}
    assert not [
        entry.name for entry in cache.iterdir() if entry.name.endswith((".tmp", ".partial"))
    ]


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "one.parquet", 30)
    monkeypatch.setenv("HWNAS_CACHE", str(path / "inside-a-file"))
    with pytest.raises(UserError, match="HWNAS_CACHE"):
        _decoded(path)


@pytest.mark.parametrize("package", ["pyarrow", "PIL"])
def test_a_missing_package_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    path = _write(tmp_path / "one.parquet", 30)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=r'pip install "hwnas\[data\]"'):
        _decoded(path)


DAMAGE = {
    "no label": ({"label": None}, "no column 'label'"),
    "no image": ({"image": None}, "no column 'image'"),
    "labels of two kinds": ({"label": [0.5] * 30}, "class numbers or class names"),
    "labels that are kept secret": ({"label": [-1] * 30}, "from 0 on"),
    "corrupt image": (
        {"image": [*[_png(i) for i in range(17)], {"bytes": b"no image", "path": None}] * 2},
        "row 17",
    ),
    "image elsewhere": (
        {"image": [{"bytes": None, "path": "0.png"}] * 30},
        r"names .*0\.png, which cannot be read",
    ),
    "too many classes": ({"label": [0, 1, 2, 3, 1] * 6}, "class number 3, but only 3"),
    "class missing": ({"label": [0, 1] * 15}, "no image of class 'owl'"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_line_with_the_file(tmp_path: Path, kind: str) -> None:
    columns, told = DAMAGE[kind]
    count = 36 if kind == "corrupt image" else 30
    path = _write(tmp_path / "one.parquet", count, **columns)
    data = find_dataset(f"parquet:{path}")
    with pytest.raises(UserError, match=told) as error:
        list(data.held_out("search", SIZE, 10))
    assert "one.parquet" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_test_file_of_other_classes_is_told(tmp_path: Path) -> None:
    _write(tmp_path / "train.parquet", 60, label=[0, 1] * 30)
    _write(tmp_path / "test.parquet", 30)
    for name in ("train", "test"):
        path = tmp_path / f"{name}.parquet"
        parquet.write_table(parquet.read_table(path).replace_schema_metadata(None), path)
    with pytest.raises(UserError, match=r"test\.parquet: class number 2"):
        list(find_dataset(f"parquet:{tmp_path}").held_out("final", SIZE, 5))


def test_too_few_images_are_told(tmp_path: Path) -> None:
    path = _write(tmp_path / "one.parquet", 6)
    with pytest.raises(UserError, match="too few images"):
        list(find_dataset(f"parquet:{path}").held_out("search", SIZE, 5))


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
        ("cifar11", "Did you mean 'cifar10'"),
    ):
        with pytest.raises(UserError, match=told):
            find_dataset(spec)
    with pytest.raises(UserError, match=r"which holds .*empty.*train-"):
        find_dataset("cifar100", tmp_path)


def test_real_cifar_10(tmp_path: Path) -> None:
    folder = os.environ.get("HWNAS_TEST_DATA")
    if not folder:
        pytest.skip("HWNAS_TEST_DATA does not name a folder with cifar10/")
    data = find_dataset("cifar10", Path(folder))
    assert data.images.labels[3] == "cat"
    assert data.train_size == 48_000
    assert len(_held_out(data, "final", 32)[1]) == 10_000
    assert torch.bincount(_held_out(data, "search", 16)[1]).tolist() == [200] * 10
    images, labels = next(data.train_batches(64, 64, 16, seed=0))
    assert images.shape == (64, 3, 16, 16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64
