"""What a Parquet file of images holds: encoded images, their classes, the names of the classes."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label", "labels")
"""Looked for first; other columns serve if the file says that they hold images or classes."""

ROWS_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A Parquet file with one image and one class per row.

    Attributes:
        path: the file.
        classes: (n,) int64, or the names of the classes as texts.
        class_names: of the schema's metadata, or None.
        image_column: holds the encoded image, its path, or a struct of both.
        label_column: holds the class.
        group_sizes: rows of each row group, the least that can be read by itself.
    """

    path: Path
    classes: NDArray[Any]
    class_names: tuple[str, ...] | None
    image_column: str
    label_column: str
    group_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """The encoded images of the rows [first, last) of a file, read when iterated.

    Attributes:
        path: the file.
        image_column: see `LabelledFile`.
        group_sizes: likewise.
        first: first row that is wanted.
        last: first row that is not wanted any more.
    """

    path: Path
    image_column: str
    group_sizes: tuple[int, ...]
    first: int
    last: int

    def __iter__(self) -> Iterator[bytes]:
        """Yield the encoded image of every row.

        Raises:
            UserError: the file is damaged, or an image that it names cannot be read.
        """
        ends = list(accumulate(self.group_sizes))
        groups = range(bisect_right(ends, self.first), bisect_left(ends, self.last) + 1)
        row = ends[groups[0]] - self.group_sizes[groups[0]]
        with opened(self.path) as file:
            for part in file.iter_batches(ROWS_AT_A_TIME, groups, [self.image_column]):
                inside = slice(max(0, self.first - row), max(0, self.last - row))
                for cell in part.column(0)[inside].to_pylist():
                    yield _encoded(self.path, cell)
                row += len(part)
                if row >= self.last:
                    return


def labelled(path: Path) -> LabelledFile:
    """Read everything of a file but its images.

    Raises:
        UserError: the file is damaged, empty, or lacks the column of images or of classes.
        MissingPackage: pyarrow is not installed.
    """
    with opened(path) as file:
        schema, about = file.schema_arrow, file.metadata
        features = _features(schema)
        image = _column(path, schema.names, IMAGE_COLUMNS, features, "Image")
        label = _column(path, schema.names, LABEL_COLUMNS, features, "ClassLabel")
        values = file.read(columns=[label]).column(0).to_numpy()
        sizes = tuple(about.row_group(index).num_rows for index in range(about.num_row_groups))
    if not len(values):
        raise UserError(f"{path} holds no images.")
    if np.issubdtype(values.dtype, np.integer):
        values = values.astype(np.int64)
    elif not all(isinstance(value, str) for value in values):
        raise UserError(
            f"{path}: column {label!r} must hold class numbers or class names, in all rows."
        )
    names = features.get(label, {}).get("names")
    return LabelledFile(path, values, names and tuple(map(str, names)), image, label, sizes)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a Parquet file.

    Raises:
        UserError: it cannot be read, now or while it is open.
        MissingPackage: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingPackage(
            'reading Parquet needs pyarrow and pillow: pip install "hwnas[data]"'
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as Parquet ({reason}): fetch it again.") from None


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """Return what the `datasets` library writes into the schema about columns, if it did."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return {name: about for name, about in features.items() if isinstance(about, dict)}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _column(
    path: Path,
    names: list[str],
    known: Sequence[str],
    features: Mapping[str, Mapping[str, Any]],
    kind: str,
) -> str:
    """Return the column of a known name, else the only one that the file says is of the kind."""
    for name in known:
        if name in names:
            return name
    of_kind = [name for name in names if features.get(name, {}).get("_type") == kind]
    if len(of_kind) == 1:
        return of_kind[0]
    wanted = " or ".join(map(repr, known))
    raise UserError(f"{path} has no column {wanted}; it has {', '.join(names)}: rename the column.")


def _encoded(path: Path, cell: Any) -> bytes:
    """Return the image of a cell; nothing where the cell is empty."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(data, bytes):
        return data
    elsewhere = cell.get("path") if isinstance(cell, dict) else cell
    if not isinstance(elsewhere, str):
        return b""
    image = path.parent / elsewhere
    try:
        return image.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} holds no image itself, but names {image}, which cannot be read "
            f"({error.strerror})."
        ) from None
