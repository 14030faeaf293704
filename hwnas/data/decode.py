"""Parquet files to arrays of pixels, through a cache that several processes may fill at once."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage, UserError
from hwnas.files import fingerprint, new_folder, read_json, sha256, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

VERSION = 1
LABEL_COLUMNS = ("label", "fine_label", "labels")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images of one size.

    Attributes:
        pixels: (n, size, size, 3) uint8, RGB, memory-mapped.
        classes: (n,) int64.
        labels: names of the classes.
        digest: hash of pixels and classes.
    """

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]
    labels: tuple[str, ...]
    digest: str


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
        raise UserError(f"data set {path} has no train-*.parquet file.")
    return train, test


def decoded(files: Sequence[Path]) -> Decoded:
    """Return the images of the files, from the cache if they were decoded before.

    Raises:
        UserError: a file that is damaged or holds no labelled images; names file and row.
        MissingPackage: pyarrow or pillow is not installed.
    """
    identity = [[str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    folder = cache_folder() / fingerprint([VERSION, identity])
    if not (folder / "about.json").is_file():
        _decode_into(files, folder)
    about = read_json(folder / "about.json", f"Remove {folder}.")
    return Decoded(
        np.load(folder / "pixels.npy", mmap_mode="r"),
        np.load(folder / "classes.npy"),
        tuple(about["labels"]),
        about["digest"],
    )


def cache_folder() -> Path:
    """Return where decoded images are kept: $HWNAS_CACHE, else ~/.cache/hwnas."""
    return Path(os.environ.get("HWNAS_CACHE") or Path.home() / ".cache" / "hwnas")


def _decode_into(files: Sequence[Path], folder: Path) -> None:
    pixels, classes, labels = [], [], None
    for file in files:
        table, names = _read(file)
        pixels.append(_images(file, table))
        classes.append(_classes(file, table))
        labels = labels or names
    all_pixels, all_classes = np.concatenate(pixels), np.concatenate(classes)
    count = int(all_classes.max()) + 1
    labels = labels or [f"class {index}" for index in range(count)]
    if missing := [labels[i] for i in range(len(labels)) if i not in set(all_classes.tolist())]:
        raise UserError(f"{files[0]}: no image of class {missing[0]!r} ({len(missing)} missing).")
    if count > len(labels):
        raise UserError(f"{files[0]}: label {count - 1}, but only {len(labels)} class names.")
    with new_folder(folder) as temporary:
        np.save(temporary / "pixels.npy", all_pixels)
        np.save(temporary / "classes.npy", all_classes)
        digest = sha256(all_pixels.tobytes() + all_classes.tobytes())
        write_json(temporary / "about.json", {"labels": labels, "digest": digest})


def _read(file: Path) -> tuple[Any, list[str] | None]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingPackage(
            'reading Parquet needs pyarrow and pillow: pip install "hwnas[data]"'
        ) from None
    try:
        table = parquet.read_table(file)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{file} cannot be read as Parquet ({reason}): fetch it again.") from None
    return table, _class_names(table)


def _class_names(table: Any) -> list[str] | None:
    """Return the names in the Hugging Face metadata of the schema, if there are any."""
    try:
        about = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        return list(about[_label_column(table)]["names"])
    except (KeyError, TypeError, ValueError):
        return None


def _label_column(table: Any) -> str | None:
    return next((name for name in LABEL_COLUMNS if name in table.column_names), None)


def _classes(file: Path, table: Any) -> NDArray[np.int64]:
    name = _label_column(table)
    if name is None:
        raise UserError(
            f"{file} has no column {' or '.join(map(repr, LABEL_COLUMNS))}; it has "
            f"{', '.join(table.column_names)}."
        )
    values = np.asarray(table[name].to_pandas())
    if not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
        raise UserError(f"{file}: column {name!r} must hold class numbers from 0 on.")
    return values.astype(np.int64)


def _images(file: Path, table: Any) -> NDArray[np.uint8]:
    name = next((n for n in ("image", "img") if n in table.column_names), None)
    if name is None:
        raise UserError(
            f"{file} has no column 'image' or 'img'; it has {', '.join(table.column_names)}."
        )
    rows = (_image(file, row, cell.as_py()) for row, cell in enumerate(table[name]))
    first = next(rows, None)
    if first is None:
        raise UserError(f"{file} holds no images.")
    result = np.empty((len(table), *first.shape), np.uint8)
    result[0] = first
    for row, image in enumerate(rows, start=1):
        if image.shape != first.shape:
            raise UserError(
                f"{file}, row {row}: an image of {image.shape[1]}x{image.shape[0]} among images "
                f"of {first.shape[1]}x{first.shape[0]}: all must have one square size."
            )
        result[row] = image
    return result


def _image(file: Path, row: int, cell: Any) -> NDArray[np.uint8]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingPackage('decoding images needs pillow: pip install "hwnas[data]"') from None
    data: Any = cell.get("bytes") if isinstance(cell, dict) else cell
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, TypeError, UnidentifiedImageError, SyntaxError):
        raise UserError(f"{file}, row {row}: the image is damaged or of no known format.") from None
    if pixels.shape[0] != pixels.shape[1]:
        height, width, _ = pixels.shape
        raise UserError(f"{file}, row {row}: {width}x{height} pixels, but images must be square.")
    return pixels
