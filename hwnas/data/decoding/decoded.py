"""Decoded images of a source: from the cache, or decoded into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.data.cache import alone, cache_folder
from hwnas.data.decoding.fill import ABOUT, CLASSES, DAMAGED, PIXELS, fill
from hwnas.data.decoding.sides import common_side, typical_side
from hwnas.files import fingerprint, read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.data.sources.source import Source
    from hwnas.graph.inputs import Triple
    from hwnas.progress import Reporter

VERSION = 3
"""To be raised with any change of decoding, so that images decoded before are not used."""


@dataclass(frozen=True, slots=True)
class Size:
    """What images are decoded to.

    Attributes:
        side: in pixels; None: the most common of their shorter sides.
        own: whether the pixels are the images' content, hashed and averaged as such; else they are
            one of several sizes that are made of the same files.
    """

    side: int | None
    own: bool


OWN_SIZE = Size(None, own=True)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images of one size.

    Attributes:
        folder: in the cache.
        pixels: (n, side, side, 3) uint8, RGB, memory-mapped; damaged ones are black.
        classes: (n,) int64.
        labels: names of the classes.
        damaged: rows whose images could not be decoded.
        told: some of them in words.
        files_digest: hash of encoded images and classes, damaged ones left out.
        pixels_digest: the same of decoded ones, if they have their own size, else empty.
        mean: per channel, of all pixels on the scale 0 to 1; zero if they have not.
        std: likewise.
    """

    folder: Path
    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]
    labels: tuple[str, ...]
    damaged: NDArray[np.int64]
    told: tuple[str, ...]
    files_digest: str
    pixels_digest: str
    mean: Triple
    std: Triple

    @property
    def kept(self) -> NDArray[np.int64]:
        """Rows that are not damaged."""
        return np.setdiff1d(np.arange(len(self.classes)), self.damaged)

    @property
    def damage_list(self) -> Path:
        """File with a line for each damaged image."""
        return self.folder / DAMAGED


def decoded(source: Source, size: Size, reporter: Reporter) -> Decoded:
    """Return the images of a source, decoding them if the cache does not have them.

    Args:
        source: the images.
        size: their central squares are resized to.
        reporter: is shown progress.

    Raises:
        UserError: the source or the cache has something wrong; damaged images are only noted.
        MissingPackage: pyarrow or pillow is not installed.
    """
    folder = decoded_folder(source, size)
    if not (folder / ABOUT).is_file():
        with alone(folder, reporter, f"decoding images of {source.title}"):
            # Another process may have done it while this one waited.
            if not (folder / ABOUT).is_file():
                side = size.side or common_side(source)
                fill(folder, source, side, reporter, own_size=size.own)
    return _load(folder)


def decoded_folder(source: Source, size: Size) -> Path:
    """Return where decoded images of a source are, or would be."""
    return cache_folder() / fingerprint([VERSION, source.identity, size.side, size.own])


def is_decoded(source: Source, size: Size) -> bool:
    """Return whether `decoded` would find the images in the cache."""
    return (decoded_folder(source, size) / ABOUT).is_file()


def remembered_side(source: Source, reporter: Reporter) -> int:
    """Return `typical_side`, found out once per machine.

    Raises:
        UserError: no image can be read, or they are too small.
    """
    path = cache_folder() / f"{fingerprint([VERSION, source.identity])}-side.json"
    if not path.is_file():
        with alone(path, reporter, f"looking at images of {source.title}"):
            if not path.is_file():
                write_json(path, {"source": source.title, "typical_side": typical_side(source)})
    side: int = read_json(path, f"Remove {path}.")["typical_side"]
    return side


def _load(folder: Path) -> Decoded:
    about: dict[str, Any] = read_json(folder / ABOUT, f"Remove {folder}.")
    none = (0.0, 0.0, 0.0)
    return Decoded(
        folder,
        np.load(folder / PIXELS, mmap_mode="r"),
        np.load(folder / CLASSES),
        tuple(about["labels"]),
        np.array(about["damaged"], np.int64),
        tuple(about["told"]),
        about["files_digest"],
        about.get("pixels_digest", ""),
        tuple(about.get("mean", none)),
        tuple(about.get("std", none)),
    )
