"""Parquet files as a source of images: which of them are for what, and what their classes are."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.data.sources.parquet_files import LabelledFile, Rows, labelled
from hwnas.data.sources.source import UNIT, Parts, require_all_classes, require_distinct, stamp
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "Parquet files"
SPLITS = {"train": ("train",), "test": ("test",), "validation": ("validation", "valid", "val")}


def has_parquet(path: Path) -> bool:
    """Return whether there are Parquet files where `parquet_parts` looks for them."""
    return bool(_shards(path))


def parquet_parts(path: Path) -> Parts:
    """Return the training and the test images of a Parquet file or a folder of such files.

    In a folder (or its `data`), names tell what files are for: train-*, test-*, validation-*; so do
    folders of these names. Validation files are the test where no test file has classes. Where no
    name tells anything, all files are for training; so is a single file.

    Raises:
        UserError: nothing there, or no training files.
    """
    shards = _shards(path)
    if not shards:
        what = "has no *.parquet file" if path.is_dir() else "does not exist"
        if path.is_dir() and any(child.is_dir() for child in path.iterdir()):
            raise UserError(
                f"data set {path} has no *.parquet file: a folder of images is read as "
                f"folder:{path}."
            )
        raise UserError(f"data set {path} {what}: give a Parquet file, or a folder of them.")
    by_split: dict[str | None, list[Path]] = {}
    for file in shards:
        split = None if len(shards) == 1 and file == path else _split_of(file, path)
        by_split.setdefault(split, []).append(file)
    if set(by_split) == {None}:
        return Parts(KIND, ParquetSource(path, shards))
    if "train" not in by_split:
        raise UserError(f"data set {path} has no train-*.parquet file: rename the training files.")
    train = ParquetSource(path, by_split["train"])
    name = _test_name(by_split)
    unused = {split: files for split, files in by_split.items() if split not in ("train", name)}
    note = "; ".join(
        f"{len(files)} {split or 'other'} files are not used" for split, files in unused.items()
    )
    test = ParquetSource(path, by_split[name], like=train) if name else None
    return Parts(KIND, train, test, note)


def _shards(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    inside = (path, path / "data")
    folders = [path / name for names in SPLITS.values() for name in names]
    for group in ([inside[0]], [inside[1]], folders):
        if files := sorted(file for folder in group for file in folder.glob("*.parquet")):
            return files
    return []


def _split_of(file: Path, root: Path) -> str | None:
    """Return the split that the name of a file tells, or that of its folder."""
    for name in (file.stem.lower(), file.parent.name.lower() if file.parent != root else ""):
        words = re.split(r"[^a-z]+", name)
        for split, known in SPLITS.items():
            if name.startswith(known) or any(word in known for word in words):
                return split
    return None


def _test_name(by_split: dict[str | None, list[Path]]) -> str | None:
    """Return which split is for the final test: "test", unless its classes are kept secret."""
    if "test" in by_split and "validation" in by_split:
        classes = labelled(by_split["test"][0]).classes
        secret = np.issubdtype(classes.dtype, np.integer) and classes.max() < 0
        return "validation" if secret else "test"
    return next((name for name in ("test", "validation") if name in by_split), None)


class ParquetSource:
    """Images of Parquet files with the same columns, in order."""

    in_memory = False

    def __init__(
        self, path: Path, files: Sequence[Path], like: ParquetSource | None = None
    ) -> None:
        """Take files.

        Args:
            path: what the user named.
            files: in order.
            like: the training images, whose classes these images have; None: these are those.
        """
        self._path = path
        self._paths = list(files)
        self._like = like

    @property
    def title(self) -> str:
        """The file, or the folder."""
        return str(self._paths[0] if len(self._paths) == 1 else self._path)

    @cached_property
    def identity(self) -> Any:
        """Path, size and time of every file, and of the training files whose classes count."""
        own = ["parquet", [stamp(path) for path in self._paths]]
        return own if self._like is None else [*own, self._like.identity]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Names in the files, or the texts in the column; else "class 0" and so on."""
        return self._like.labels if self._like else self._own_labels()

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """All files' classes."""
        number = {name: index for index, name in enumerate(self.labels)}
        classes = np.concatenate([self._numbers(file, number) for file in self._files])
        if self._like is None:
            require_all_classes(classes, self.labels, self.title)
        return classes

    @cached_property
    def units(self) -> Sequence[tuple[int, int]]:
        """Whole row groups, small ones together."""
        units: list[tuple[int, int]] = []
        for file, offset in zip(self._files, self._offsets, strict=True):
            begin = end = offset
            for size in file.group_sizes:
                if end > begin and end + size - begin > UNIT:
                    units.append((begin, end))
                    begin = end
                end += size
            units.append((begin, end))
        return units

    def piece(self, first: int, last: int) -> Rows:
        """Return rows of one file."""
        index = bisect_right(self._offsets, first) - 1
        file, offset = self._files[index], self._offsets[index]
        ends = list(accumulate(file.group_sizes))
        inside = range(
            bisect_right(ends, first - offset), bisect_right(ends, last - offset - 1) + 1
        )
        start = ends[inside[0]] - file.group_sizes[inside[0]]
        return Rows(
            file.path, file.image_column, tuple(inside), start, first - offset, last - offset
        )

    def where(self, row: int) -> str:
        """Return file and row."""
        index = bisect_right(self._offsets, row) - 1
        return f"{self._files[index].path.name}, row {row - self._offsets[index]}"

    @cached_property
    def _files(self) -> list[LabelledFile]:
        return [labelled(path) for path in self._paths]

    @cached_property
    def _offsets(self) -> list[int]:
        return [0, *accumulate(len(file.classes) for file in self._files)][:-1]

    def _own_labels(self) -> tuple[str, ...]:
        texts = [file for file in self._files if file.classes.dtype == object]
        if texts and len(texts) < len(self._files):
            raise UserError(f"{texts[0].path} names classes in words, other files by numbers.")
        if texts:
            return tuple(sorted({str(name) for file in texts for name in file.classes}))
        known = next((file.class_names for file in self._files if file.class_names), None)
        if known is None:
            count = 1 + max(int(file.classes.max()) for file in self._files)
            return tuple(f"class {index}" for index in range(count))
        require_distinct(known, str(self._paths[0]))
        return known

    def _numbers(self, file: LabelledFile, number: dict[str, int]) -> NDArray[np.int64]:
        """Return the class numbers of a file.

        Raises:
            UserError: a class that training does not have.
        """
        if file.classes.dtype == object:
            if unknown := sorted(set(file.classes) - set(number)):
                raise UserError(
                    f"{file.path}: class {unknown[0]!r} is not among the {len(number)} classes of "
                    "the training files."
                )
            return np.array([number[name] for name in file.classes], np.int64)
        if file.classes.min() < 0:
            raise UserError(
                f"{file.path}: column {file.label_column!r} must hold class numbers from 0 on, but "
                f"has {file.classes.min()}."
            )
        if file.classes.max() >= len(number):
            raise UserError(
                f"{file.path}: class number {file.classes.max()}, but only {len(number)} class "
                "names."
            )
        return file.classes
