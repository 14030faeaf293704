"""Decoded images of a source: from the cache, or decoded into it, once per machine.

A killed process loses at most the units that it was at: `done.jsonl` tells which are written. The
folder gets its name when everything is there.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.cores import usable_cores
from hwnas.data.cache import alone, cache_errors, cache_folder, in_bytes, require_space
from hwnas.data.decoding.decode import require_pillow, typical_side
from hwnas.data.decoding.helpers import HASH_BYTES, Damaged, Unit, decode_all
from hwnas.files import fingerprint, read_json, write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.data.sources.source import Source
    from hwnas.graph.inputs import Triple
    from hwnas.progress import Reporter

VERSION = 4
"""To be raised with any change of decoding, so that images decoded before are not used."""

ALONE_BELOW = 500
"""Images that one process decodes before helpers have started."""

TOLD = 3
"""Damaged images that a message names; all are in a file."""

IMAGES_AT_A_TIME = 256

PIXELS, CLASSES, HASHES = "pixels.npy", "classes.npy", "hashes.npy"
DONE, DAMAGED, ABOUT, STATISTICS = "done.jsonl", "damaged.txt", "about.json", "statistics.json"


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
        digest: hash of encoded images and classes, damaged ones left out; the same at any side.
    """

    folder: Path
    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]
    labels: tuple[str, ...]
    damaged: NDArray[np.int64]
    told: tuple[str, ...]
    digest: str

    @property
    def kept(self) -> NDArray[np.int64]:
        """Rows that are not damaged."""
        return np.setdiff1d(np.arange(len(self.classes)), self.damaged)

    @property
    def damage_list(self) -> Path:
        """File with a line for each damaged image."""
        return self.folder / DAMAGED

    def statistics(self) -> tuple[Triple, Triple]:
        """Return mean and standard deviation per channel of all pixels, from 0 to 1.

        Found out once per machine; to four digits, deviations of 0.01 or more.
        """
        path = self.folder / STATISTICS
        if not path.is_file():
            mean, std = _statistics(self.pixels, self.kept)
            with cache_errors():
                write_json(path, {"mean": mean, "std": std})
        found = read_json(path, f"Remove {path}.")
        return tuple(found["mean"]), tuple(found["std"])


def decoded(source: Source, side: int, reporter: Reporter) -> Decoded:
    """Return the images of a source, decoding them if the cache does not have them.

    Args:
        source: the images.
        side: their central squares are resized to, in pixels.
        reporter: is shown progress.

    Raises:
        UserError: the source or the cache has something wrong; damaged images are only noted.
        MissingPackage: pyarrow or pillow is not installed.
    """
    folder = decoded_folder(source, side)
    if not (folder / ABOUT).is_file():
        with alone(folder, reporter, f"decoding images of {source.title}"):
            # Another process may have done it while this one waited.
            if not (folder / ABOUT).is_file():
                _fill(folder, source, side, reporter)
    about: dict[str, Any] = read_json(folder / ABOUT, f"Remove {folder}.")
    return Decoded(
        folder,
        np.load(folder / PIXELS, mmap_mode="r"),
        np.load(folder / CLASSES),
        tuple(about["labels"]),
        np.array(about["damaged"], np.int64),
        tuple(about["told"]),
        about["digest"],
    )


def decoded_folder(source: Source, side: int) -> Path:
    """Return where decoded images of a source are, or would be."""
    return cache_folder() / fingerprint([VERSION, source.identity, side])


def is_decoded(source: Source, side: int) -> bool:
    """Return whether `decoded` would find the images in the cache."""
    return (decoded_folder(source, side) / ABOUT).is_file()


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


def _fill(folder: Path, source: Source, side: int, reporter: Reporter) -> None:
    """Decode all images into `folder`, or go on where a killed process stopped.

    No other process may be filling it.

    Raises:
        UserError: the disk is too full, or an image cannot be read; a damaged one is only noted.
    """
    require_pillow()
    partial = folder.with_name(f".{folder.name}.partial")
    with cache_errors():
        partial.mkdir(parents=True, exist_ok=True)
        _reserve(partial, len(source.classes), side, source.title)
        damaged = _decode_into(partial, source, side, reporter)
        np.save(partial / CLASSES, source.classes)
        lines = [f"{source.where(row)}: {reason}\n" for row, reason in damaged]
        write_text(partial / DAMAGED, "".join(lines))
        write_json(partial / ABOUT, _about(partial, source, damaged))
        (partial / DONE).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # one whose files somebody removed
        partial.rename(folder)


def _reserve(partial: Path, count: int, side: int, title: str) -> None:
    """Make files of the full size, with holes where images will be.

    Raises:
        UserError: the disk has no room for what is not there yet.
    """
    path = partial / PIXELS
    held = path.stat().st_blocks * 512 if path.exists() else 0
    what = f"{count:,} images of {title}, decoded to {side}x{side},"
    require_space(count * (3 * side**2 + HASH_BYTES) - held, what)
    for name, shape in ((HASHES, (count, HASH_BYTES)), (PIXELS, (count, side, side, 3))):
        if not (partial / name).exists():
            new = partial / f"{name}.new"
            np.lib.format.open_memmap(new, "w+", np.uint8, shape)
            new.rename(partial / name)


def _decode_into(partial: Path, source: Source, side: int, reporter: Reporter) -> Damaged:
    """Decode what is not done yet; return all that is damaged."""
    units, count = source.units, len(source.classes)
    done, damaged = _read_done(partial / DONE)
    before = sum(last - first for first, last in (units[number] for number in done))
    size = in_bytes(count * 3 * side**2)
    reporter.info(
        f"decoding {count:,} images of {source.title} to {side}x{side}, {size} in {partial.parent}"
    )
    if before:
        reporter.info(f"going on after {before:,} of them, decoded before")
    alone = source.in_memory or count - before < ALONE_BELOW
    work = decode_all(_todo(partial, source, side, done), 1 if alone else usable_cores())
    with (
        reporter.task("decoding images", count) as advance,
        (partial / DONE).open("a") as log,
    ):
        advance(before)
        for unit, found in work:
            log.write(json.dumps([unit.number, found]) + "\n")
            log.flush()
            os.fsync(log.fileno())
            damaged += found
            first, last = units[unit.number]
            advance(last - first)
    return sorted(damaged)


def _todo(partial: Path, source: Source, side: int, done: AbstractSet[int]) -> Iterator[Unit]:
    pixels, hashes = partial / PIXELS, partial / HASHES
    starts = [np.load(path, mmap_mode="r").offset for path in (pixels, hashes)]
    for number, (first, last) in enumerate(source.units):
        if number not in done:
            yield Unit(number, first, source.piece(first, last), side, pixels, hashes, *starts)


def _read_done(path: Path) -> tuple[set[int], Damaged]:
    """Return which units are written, and their damage; a line that was cut off does not count."""
    done: set[int] = set()
    damaged: Damaged = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            number, found = json.loads(line)
        except ValueError:
            continue
        if number not in done:
            done.add(number)
            damaged += [(row, reason) for row, reason in found]
    return done, damaged


def _about(partial: Path, source: Source, damaged: Damaged) -> dict[str, Any]:
    """Return what is asked of the images again and again."""
    rows = [row for row, _ in damaged]
    kept = np.setdiff1d(np.arange(len(source.classes)), np.array(rows, np.int64))
    hashes = np.load(partial / HASHES)
    return {
        "labels": list(source.labels),
        "damaged": rows,
        "told": [f"{source.where(row)} ({reason})" for row, reason in damaged[:TOLD]],
        "digest": sha256(hashes[kept].tobytes() + source.classes[kept].tobytes()).hexdigest(),
    }


def _statistics(
    pixels: NDArray[np.uint8], kept: NDArray[np.int64]
) -> tuple[list[float], list[float]]:
    levels = np.zeros((3, 256), np.int64)
    for first in range(0, len(kept), IMAGES_AT_A_TIME):
        some = pixels[kept[first : first + IMAGES_AT_A_TIME]]
        for channel in range(3):
            levels[channel] += np.bincount(some[..., channel].ravel(), minlength=256)
    scale = np.arange(256) / 255
    share = levels / np.maximum(1, levels.sum(axis=1, keepdims=True))
    mean = share @ scale
    std = np.sqrt((share * (scale - mean[:, None]) ** 2).sum(axis=1))
    return np.round(mean, 4).tolist(), np.round(np.maximum(std, 0.01), 4).tolist()
