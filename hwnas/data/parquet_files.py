"""What a Hugging Face image Parquet file holds: encoded images, class numbers, class names."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label", "labels")
ROWS_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A Parquet file with one image and one class number per row.

    Attributes:
        path: the file.
        classes: (n,) int64, from 0 on.
        class_names: of the schema's metadata, or None.
        image_column: holds the encoded image, or a struct with it in "bytes".
    """

    path: Path
    classes: NDArray[np.int64]
    class_names: tuple[str, ...] | None
    image_column: str

    def images(self) -> Iterator[bytes]:
        """Yield the encoded image of every row.

        Raises:
            UserError: the file is damaged, or a row holds no image.
        """
        row = 0
        with _open(self.path) as file:
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=[self.image_column]):
                for cell in batch.column(0).to_pylist():
                    yield _encoded(self.path, row, cell)
                    row += 1


def sources(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the training and the test files of a path.

    In a folder, files whose names start with "test" are the test files, those with "train" the
    training files; a single file is for training.

    Raises:
        UserError: nothing there.
    """
    if path.is_file():
        return [path], []
    files = sorted(path.glob("*.parquet"))
    if not files:
        what = "has no *.parquet file" if path.is_dir() else "does not exist"
        raise UserError(f"data set {path} {what}: give a Parquet file, or a folder of them.")
    test = [file for file in files if file.name.startswith("test")]
    train = [file for file in files if file.name.startswith("train")]
    if not train:
        raise UserError(f"data set {path} has no train-*.parquet file: rename the training files.")
    return train, test


def labelled(path: Path) -> LabelledFile:
    """Read everything of a file but its images.

    Raises:
        UserError: the file is damaged, empty, or lacks the column of images or of class numbers.
        MissingPackage: pyarrow is not installed.
    """
    with _open(path) as file:
        schema = file.schema_arrow
        image = _column(path, schema.names, IMAGE_COLUMNS)
        label = _column(path, schema.names, LABEL_COLUMNS)
        values = np.asarray(file.read(columns=[label]).column(0).to_pandas())
    if not len(values):
        raise UserError(f"{path} holds no images.")
    if not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
        raise UserError(f"{path}: column {label!r} must hold class numbers from 0 on.")
    return LabelledFile(path, values.astype(np.int64), _class_names(schema, label), image)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
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


def _column(path: Path, names: list[str], known: tuple[str, ...]) -> str:
    for name in known:
        if name in names:
            return name
    wanted = " or ".join(map(repr, known))
    raise UserError(f"{path} has no column {wanted}; it has {', '.join(names)}.")


def _class_names(schema: Any, label: str) -> tuple[str, ...] | None:
    """Return the names that the `datasets` library writes into the schema, if it did."""
    try:
        about = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return tuple(map(str, about[label]["names"]))
    except (KeyError, TypeError, ValueError):
        return None


def _encoded(path: Path, row: int, cell: Any) -> bytes:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        raise UserError(f"{path}, row {row}: no image; it must be in the file itself, as bytes.")
    return data
