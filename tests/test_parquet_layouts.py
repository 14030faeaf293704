"""Parquet as others write it: shards, folders per split, other columns, class names, paths."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pictures import encoded, write_classes
from pyarrow import parquet

from hwnas.data.catalog import find_dataset
from hwnas.data.selection import Selection
from hwnas.data.sources.parquet import ParquetSource
from hwnas.errors import UserError
from hwnas.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 12


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _image(number: int, size: int = SIZE) -> bytes:
    return encoded(number, size, size)


def _write(
    path: Path, features: dict[str, Any] | None = None, rows: int = 0, **columns: Any
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table(columns).replace_schema_metadata(about if features else None)
    parquet.write_table(table, path, row_group_size=rows or None)


def _shard(path: Path, count: int, first: int = 0, **columns: Any) -> None:
    labels = [index % 3 for index in range(count)]
    images = [{"bytes": _image(first + index), "path": None} for index in range(count)]
    _write(path, **{"image": images, "label": labels, **columns})


@pytest.mark.parametrize(
    "names",
    [
        ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-0.parquet"),
        ("data/train-0.parquet", "data/train-1.parquet", "data/validation-0.parquet"),
        ("train/0000.parquet", "train/0001.parquet", "test/0000.parquet"),
        ("cifar10-train-0.parquet", "cifar10-train-1.parquet", "cifar10-test.parquet"),
    ],
)
def test_shards_are_found_whatever_tells_their_split(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for number, name in enumerate(names):
        _shard(tmp_path / "d" / name, 30 + 3 * number, 100 * number)
    data = find_dataset(f"parquet:{tmp_path / 'd'}")
    assert len(data.parts.train.classes) == 63
    assert data.parts.test is not None
    assert len(data.parts.test.classes) == 36
    assert data.parts.train.where(31).endswith(", row 1")
    train, test = data.loaded(SIZE)
    assert len(np.unique(train.pixels.reshape(63, -1), axis=0)) == 63
    assert test.pixels.shape[0] == 36


def test_hidden_files_are_nobodys_data(tmp_path: Path) -> None:
    _shard(tmp_path / "d" / "train-0.parquet", 30)
    (tmp_path / "d" / "._train-0.parquet").write_bytes(b"what macOS leaves on other disks")
    assert len(find_dataset(f"parquet:{tmp_path / 'd'}").parts.train.classes) == 30


def test_shards_without_a_split_are_all_for_training(tmp_path: Path) -> None:
    for number in range(2):
        _shard(tmp_path / "d" / f"000{number}.parquet", 30, 100 * number)
    parts = find_dataset(f"parquet:{tmp_path / 'd'}").parts
    assert parts.test is None
    assert len(parts.train.classes) == 60


def test_test_files_whose_classes_are_secret_give_way_to_validation(tmp_path: Path) -> None:
    _shard(tmp_path / "d" / "train-0.parquet", 30)
    _shard(tmp_path / "d" / "test-0.parquet", 9, 100, label=[-1] * 9)
    _shard(tmp_path / "d" / "validation-0.parquet", 12, 200)
    parts = find_dataset(f"parquet:{tmp_path / 'd'}").parts
    assert parts.test is not None
    assert len(parts.test.classes) == 12
    assert parts.note == "1 test files are not used"


def test_columns_of_other_names_are_found_by_what_they_hold(tmp_path: Path) -> None:
    features = {
        "jpg": {"_type": "Image"},
        "species": {"names": ["a", "b", "c"], "_type": "ClassLabel"},
        "note": {"dtype": "string", "_type": "Value"},
    }
    images = [_image(index) for index in range(30)]
    species = [index % 3 for index in range(30)]
    _write(tmp_path / "one.parquet", features, jpg=images, species=species, note=["x"] * 30)
    data = find_dataset(f"parquet:{tmp_path / 'one.parquet'}")
    assert data.labels == ("a", "b", "c")
    data.prepare(SIZE, Silent())
    features["species"] = {"dtype": "int64", "_type": "Value"}
    _write(tmp_path / "two.parquet", features, jpg=images, species=species)
    with pytest.raises(UserError, match=r"no column 'label'.*it has jpg, species: rename"):
        find_dataset(f"parquet:{tmp_path / 'two.parquet'}").labels  # noqa: B018 - reading fails


def test_classes_may_be_words(tmp_path: Path) -> None:
    words = ["owl", "cat", "dog"] * 10
    _shard(tmp_path / "d" / "train-0.parquet", 30, label=words)
    _shard(tmp_path / "d" / "test-0.parquet", 6, 100, label=["dog", "cat"] * 3)
    data = find_dataset(f"parquet:{tmp_path / 'd'}")
    assert data.labels == ("cat", "dog", "owl")
    assert data.parts.train.classes[:3].tolist() == [2, 0, 1]
    assert data.parts.test is not None
    assert data.parts.test.classes[:2].tolist() == [1, 0]
    _shard(tmp_path / "d" / "test-0.parquet", 6, 100, label=["dog", "cow"] * 3)
    with pytest.raises(UserError, match="class 'cow' is not among the 3 classes"):
        find_dataset(f"parquet:{tmp_path / 'd'}").prepare(SIZE, Silent())
    _shard(tmp_path / "d" / "train-1.parquet", 30, 200)
    with pytest.raises(UserError, match="names classes in words, other files by numbers"):
        find_dataset(f"parquet:{tmp_path / 'd'}").labels  # noqa: B018 - reading fails


@pytest.mark.parametrize("as_struct", [True, False])
def test_images_may_lie_beside_the_file(tmp_path: Path, as_struct: bool) -> None:
    write_classes(tmp_path / "d", {"pictures": 30}, height=SIZE, width=SIZE)
    paths = [f"pictures/{index:04}.png" for index in range(30)]
    cells = [{"bytes": None, "path": path} for path in paths] if as_struct else paths
    _shard(tmp_path / "d" / "one.parquet", 30, image=cells)
    data = find_dataset(f"parquet:{tmp_path / 'd' / 'one.parquet'}")
    (train,) = data.loaded(SIZE)
    assert not len(train.damaged)
    (tmp_path / "d" / paths[7]).unlink()
    parquet_again = find_dataset(f"parquet:{tmp_path / 'd' / 'one.parquet'}")
    assert np.array_equal(parquet_again.loaded(SIZE)[0].pixels, train.pixels)


def test_rows_without_an_image_are_damaged_ones(tmp_path: Path) -> None:
    images: list[object] = [_image(index) for index in range(30)]
    images[4] = None
    _shard(tmp_path / "one.parquet", 30, image=images)
    spec = f"parquet:{tmp_path / 'one.parquet'}"
    with pytest.raises(UserError, match=r"1 of 30 images .*one\.parquet, row 4 \(empty\)"):
        find_dataset(spec).prepare(SIZE, Silent())
    data = find_dataset(spec, selection=Selection(skip_damaged=True))
    assert 4 not in [*data.splits.train, *data.splits.search, *data.splits.final]


@pytest.mark.parametrize("rows", [7, 100, 300, 1000])
def test_units_are_whole_row_groups_and_any_row_can_be_read(tmp_path: Path, rows: int) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for number, path in enumerate(paths):
        images = [b"%d" % (1000 * number + index) for index in range(700)]
        _write(path, rows=rows, image=images, label=[index % 3 for index in range(700)])
    source = ParquetSource(tmp_path, paths)
    expected = [b"%d" % number for number in (*range(700), *range(1000, 1700))]
    found = [item for first, last in source.units for item in source.piece(first, last)]
    assert found == expected
    assert max(last - first for first, last in source.units) <= max(rows, 256)
    for row in (0, 6, 7, 299, 300, 699, 700, 1234, 1399):
        assert list(source.piece(row, row + 1)) == [expected[row]]
    assert list(source.piece(5, 20)) == expected[5:20]
