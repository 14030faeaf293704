"""Parquet files as a source of images: which of them are for what, and what their classes are."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.data.sources.parquet_files import LabelledFile, Rows, labelled
from hwnas.data.sources.source import (
    UNIT,
    Parts,
    require_all_classes,
    require_distinct,
    split_of,
    stamp,
)
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "Parquet files"


def has_parquet(path: Path) -> bool:
    """Return whether there are Parquet files where `parquet_parts` looks for them."""
    return bool(_shards(path))


def parquet_parts(path: Path) -> Parts:
    """Return the training and the test images of a Parquet file or a folder of such files.

    In a folder (or its `data`), names tell what files are for: train-*, test-*, validation-*; so do
    folders of these names. Where no name tells anything, all files are for training; so is a
    single file.

    Raises:
        UserError: nothing there, or no training files.
    """
    if path.is_file():
        return Parts(KIND, ParquetSource(path, [path]))
    shards = _shards(path)
    if not shards:
        if path.is_dir() and any(child.is_dir() for child in path.iterdir()):
            raise UserError(
                f"data set {path} has no *.parquet file: a folder of images is read as "
                f"folder:{path}."
            )
        what = "has no *.parquet file" if path.is_dir() else "does not exist"
        raise UserError(f"data set {path} {what}: give a Parquet file, or a folder of them.")
    by_split: dict[str, list[Path]] = {}
    for file in shards:
        folder = split_of(file.parent.name) if file.parent != path else None
        by_split.setdefault(split_of(file.stem) or folder or "other", []).append(file)
    if set(by_split) == {"other"}:
        by_split = {"train": shards}
    return parts_by_split(path, by_split)


def parts_by_split(path: Path, by_split: Mapping[str, Sequence[Path]], kind: str = KIND) -> Parts:
    """Return the images of files by what they are for.

    Validation files are the test where no test file has classes.

    Args:
        path: where they lie, for messages.
        by_split: "train", "test", "validation", or whatever else there is.
        kind: in words.

    Raises:
        UserError: there are none to train on.
    """
    if "train" not in by_split:
        raise UserError(f"data set {path} has no train-*.parquet file: rename the training files.")
    train = ParquetSource(path, by_split["train"])
    name = next((name for name in ("test", "validation") if name in by_split), None)
    if name == "test" and "validation" in by_split and _secret(by_split["test"][0]):
        name = "validation"
    note = "; ".join(
        f"{len(files)} {split} files are not used"
        for split, files in by_split.items()
        if split not in ("train", name)
    )
    test = ParquetSource(path, by_split[name], like=train) if name else None
    return Parts(kind, train, test, note)


def _shards(path: Path) -> list[Path]:
    inside = (path, path / "data")
    folders = [child for child in path.glob("*") if child.is_dir() and split_of(child.name)]
    for group in ([inside[0]], [inside[1]], folders):
        files = (file for folder in group for file in folder.glob("*.parquet"))
        if shown := sorted(file for file in files if not file.name.startswith(".")):
            return shown
    return []


def _secret(file: Path) -> bool:
    """Return whether a file gives all its images no class but -1."""
    classes = labelled(file).classes
    return bool(np.issubdtype(classes.dtype, np.integer) and classes.max() < 0)


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
        if self._like is not None:
            return self._like.labels
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

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """All files' classes."""
        number = {name: index for index, name in enumerate(self.labels)}
        classes = np.concatenate([_numbers(file, number) for file in self._files])
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
        file, offset = self._place(first)
        return Rows(file.path, file.image_column, file.group_sizes, first - offset, last - offset)

    def where(self, row: int) -> str:
        """Return file and row."""
        file, offset = self._place(row)
        return f"{file.path.name}, row {row - offset}"

    def _place(self, row: int) -> tuple[LabelledFile, int]:
        """Return the file that holds a row, and the number of its first one."""
        index = bisect_right(self._offsets, row) - 1
        return self._files[index], self._offsets[index]

    @cached_property
    def _files(self) -> list[LabelledFile]:
        return [labelled(path) for path in self._paths]

    @cached_property
    def _offsets(self) -> list[int]:
        return [0, *accumulate(len(file.classes) for file in self._files)][:-1]


def _numbers(file: LabelledFile, number: Mapping[str, int]) -> NDArray[np.int64]:
    """Return the class numbers of a file.

    Raises:
        UserError: a class that training does not have.
    """
    classes = file.classes
    if classes.dtype == object:
        if unknown := sorted(set(classes) - set(number)):
            raise UserError(
                f"{file.path}: class {unknown[0]!r} is not among the {len(number)} classes of "
                "the training files."
            )
        return np.array([number[name] for name in classes], np.int64)
    if classes.min() < 0:
        raise UserError(
            f"{file.path}: column {file.label_column!r} must hold class numbers from 0 on, but "
            f"has {classes.min()}."
        )
    if classes.max() >= len(number):
        raise UserError(
            f"{file.path}: class number {classes.max()}, but only {len(number)} class names."
        )
    return classes
