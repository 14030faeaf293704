"""Encoded images to arrays of pixels, through a cache that several processes may ask at once.

An image is decoded once per machine. The arrays are written piece by piece and memory-mapped
when read, so that neither takes memory of the size of the data set.
"""

from __future__ import annotations

import fcntl
import io
import os
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.data.parquet_files import labelled
from hwnas.errors import MissingPackage, UserError
from hwnas.files import fingerprint, new_folder, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hwnas.data.parquet_files import LabelledFile
    from hwnas.graph.inputs import Triple

VERSION = 2
IMAGES_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images of one size.

    Attributes:
        pixels: (n, size, size, 3) uint8, RGB, memory-mapped.
        classes: (n,) int64.
        labels: names of the classes.
        mean: per channel, of all pixels on the scale 0 to 1.
        std: likewise.
        digest: hash of pixels and classes.
    """

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]
    labels: tuple[str, ...]
    mean: Triple
    std: Triple
    digest: str


def decoded(files: Sequence[Path], labels: Sequence[str] | None = None) -> Decoded:
    """Return the images of the files, from the cache if they were decoded before.

    Images that are not all of one square size are cut to their central squares and resized to
    the most common of their shorter sides.

    Args:
        files: with the same columns, in order.
        labels: names of the classes; else those in the files, else "class 0" and so on, and then
            every class must have an image.

    Raises:
        UserError: a file that is damaged or holds no labelled images; names file and row.
        MissingPackage: pyarrow or pillow is not installed.
    """
    folder = cache_folder() / fingerprint([VERSION, [_identity(file) for file in files], labels])
    if not (folder / "about.json").is_file():
        with _alone(folder):
            # Another process may have done it while this one waited.
            if not (folder / "about.json").is_file():
                _decode_into(folder, [labelled(file) for file in files], labels)
    about = read_json(folder / "about.json", f"Remove {folder}.")
    return Decoded(
        np.load(folder / "pixels.npy", mmap_mode="r"),
        np.load(folder / "classes.npy"),
        tuple(about["labels"]),
        tuple(about["mean"]),
        tuple(about["std"]),
        about["digest"],
    )


def cache_folder() -> Path:
    """Return where decoded images are kept: $HWNAS_CACHE, else ~/.cache/hwnas."""
    return Path(os.environ.get("HWNAS_CACHE") or Path.home() / ".cache" / "hwnas")


def _identity(file: Path) -> list[Any]:
    """Return what changes with a file's content, without reading it."""
    about = file.stat()
    return [str(file.resolve()), about.st_size, about.st_mtime_ns]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process decodes into `folder`, then keep others waiting."""
    with _cache_errors():
        folder.parent.mkdir(parents=True, exist_ok=True)
        stream = folder.with_name(f".{folder.name}.lock").open("w")
    with stream:
        with suppress(OSError):  # some network drives have no locks
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def _cache_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot keep decoded images in {cache_folder()} ({error.strerror or error}): set "
            "the environment variable HWNAS_CACHE to a writable folder with more space."
        ) from error


def _decode_into(folder: Path, files: list[LabelledFile], labels: Sequence[str] | None) -> None:
    names = _labels(files, labels)
    classes = np.concatenate([file.classes for file in files])
    size = _common_size(files)
    with new_folder(folder) as temporary, _cache_errors():
        np.save(temporary / "classes.npy", classes)
        images = chain.from_iterable(_squares(file, size) for file in files)
        content, levels = _write(temporary / "pixels.npy", images, (len(classes), size, size, 3))
        content.update(classes.tobytes())
        mean, std = _statistics(levels)
        about = {"labels": names, "mean": mean, "std": std, "digest": content.hexdigest()}
        write_json(temporary / "about.json", about)


def _labels(files: list[LabelledFile], given: Sequence[str] | None) -> list[str]:
    """Return the class names after checking the class numbers against them."""
    largest = max(files, key=lambda file: file.classes.max())
    count, path = int(largest.classes.max()) + 1, largest.path
    known = given or next((file.class_names for file in files if file.class_names), None)
    names = list(known or (f"class {index}" for index in range(count)))
    if count > len(names):
        raise UserError(f"{path}: class number {count - 1}, but only {len(names)} class names.")
    if len(set(names)) < len(names):
        twice = next(name for name, times in Counter(names).items() if times > 1)
        raise UserError(f"{path}: two classes are called {twice!r}: rename one.")
    if given is None:
        present = set(np.concatenate([file.classes for file in files]).tolist())
        if missing := [name for index, name in enumerate(names) if index not in present]:
            raise UserError(
                f"{path}: no image of class {missing[0]!r} ({len(missing)} of {len(names)} "
                "classes are missing): give all training files."
            )
    return names


def _common_size(files: list[LabelledFile]) -> int:
    """Return the most common shorter side, in pixels; of equally common ones the larger."""
    sides: Counter[int] = Counter()
    for file in files:
        for row, data in enumerate(file.images()):
            with _image(file, row, data) as image:
                sides[min(image.size)] += 1
    return max(sides, key=lambda side: (sides[side], side))


def _squares(file: LabelledFile, size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield every image as (size, size, 3)."""
    from PIL import Image, ImageOps

    for row, data in enumerate(file.images()):
        with _image(file, row, data) as image:
            rgb = image.convert("RGB")
        if rgb.size != (size, size):
            rgb = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
        yield np.asarray(rgb)


@contextmanager
def _image(file: LabelledFile, row: int, data: bytes) -> Iterator[Any]:
    try:
        from PIL import Image
    except ImportError:
        raise MissingPackage('decoding images needs pillow: pip install "hwnas[data]"') from None
    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except Exception as error:  # pillow raises many kinds for damaged images
        raise UserError(
            f"{file.path}, row {row}: the image is damaged or of no known format: fetch the file "
            "again, or leave this row out."
        ) from error


def _write(
    path: Path, images: Iterator[NDArray[np.uint8]], shape: tuple[int, ...]
) -> tuple[Any, NDArray[np.int64]]:
    """Write an array file piece by piece.

    Not into a memory map: on a full disk that ends the process in place of raising an error.

    Returns:
        the running hash of the pixels, and how often each level occurs per channel, (3, 256).
    """
    content, levels = sha256(), np.zeros((3, 256), np.int64)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        while some := list(islice(images, IMAGES_AT_A_TIME)):
            pixels = np.stack(some)
            stream.write(pixels.data)
            content.update(pixels.data)
            for channel in range(3):
                levels[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)
    return content, levels


def _statistics(levels: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel, to four digits, the latter above zero."""
    scale = np.arange(256) / 255
    share = levels / levels.sum(axis=1, keepdims=True)
    mean = share @ scale
    std = np.sqrt((share * (scale - mean[:, None]) ** 2).sum(axis=1))
    return np.round(mean, 4).tolist(), np.round(np.maximum(std, 0.01), 4).tolist()
