"""All images of a source into arrays in a folder of the cache, once per machine.

A killed process loses at most the units that it was at: `done.jsonl` tells which are written. The
folder gets its name when everything is there.
"""

from __future__ import annotations

import io
import json
import math
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.cores import usable_cores
from hwnas.data.cache import cache_errors, in_bytes, require_space
from hwnas.data.decoding import content
from hwnas.data.decoding.crew import crew
from hwnas.data.decoding.decode import require_pillow
from hwnas.data.decoding.unit import HASH_BYTES, Damaged, Unit, decode
from hwnas.files import write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from hwnas.data.sources.source import Source
    from hwnas.progress import Reporter

ALONE_BELOW = 500
"""Images that one process decodes before helpers have started."""

TOLD = 3
"""Damaged images that a message names; all are in a file."""

PIXELS, CLASSES, HASHES = "pixels.npy", "classes.npy", "hashes.bin"
DONE, DAMAGED, ABOUT = "done.jsonl", "damaged.txt", "about.json"


def fill(folder: Path, source: Source, side: int, reporter: Reporter, *, own_size: bool) -> None:
    """Decode all images into `folder`, or go on where a killed process stopped.

    Args:
        folder: in the cache; no other process may be filling it.
        source: the images.
        side: of the decoded images, in pixels.
        reporter: is shown a bar of images.
        own_size: `side` is that of the images themselves, so their pixels count as they are.

    Raises:
        UserError: the disk is too full, or an image cannot be read; a damaged one is only noted.
    """
    require_pillow()
    partial = folder.with_name(f".{folder.name}.partial")
    shape = (len(source.classes), side, side, 3)
    with cache_errors():
        partial.mkdir(parents=True, exist_ok=True)
        _reserve(partial, shape, source.title)
        damaged = _Filling(partial, source, side, own_size=own_size).run(reporter)
        np.save(partial / CLASSES, source.classes)
        lines = [f"{source.where(row)}: {reason}\n" for row, reason in damaged]
        write_text(partial / DAMAGED, "".join(lines))
        write_json(partial / ABOUT, _about(partial, source, damaged, own_size=own_size))
        (partial / DONE).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # one whose files somebody removed
        partial.rename(folder)


def _reserve(partial: Path, shape: tuple[int, ...], title: str) -> None:
    """Make files of the full size, with holes where images will be.

    Raises:
        UserError: the disk has no room for what is not there yet.
    """
    path, count = partial / PIXELS, shape[0]
    size = len(_header(shape)) + math.prod(shape)
    held = path.stat().st_blocks * 512 if path.exists() else 0
    what = f"{count:,} images of {title}, decoded to {shape[1]}x{shape[2]},"
    require_space(size + count * HASH_BYTES - held, what)
    if not path.exists():
        with (partial / HASHES).open("wb") as stream:
            stream.truncate(count * HASH_BYTES)
        new = path.with_suffix(".new")
        with new.open("wb") as stream:
            stream.write(_header(shape))
            stream.truncate(size)
        new.rename(path)


def _header(shape: tuple[int, ...]) -> bytes:
    """Return how an array file of that shape begins."""
    stream = io.BytesIO()
    about = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


class _Filling:
    """The work on one folder."""

    def __init__(self, partial: Path, source: Source, side: int, *, own_size: bool) -> None:
        self._partial = partial
        self._source = source
        self._side = side
        self._draft = not own_size
        self._units = source.units
        self._count = len(source.classes)

    def run(self, reporter: Reporter) -> Damaged:
        """Decode what is not done yet; return all that is damaged."""
        done, damaged = _read_done(self._partial / DONE)
        before = sum(self._images(number) for number in done)
        self._tell(before, reporter)
        alone = self._source.in_memory or self._count - before < ALONE_BELOW
        with (
            reporter.task("decoding images", self._count) as advance,
            (self._partial / DONE).open("a") as log,
        ):
            advance(before)
            for unit, found in _worked(self._todo(done), 1 if alone else usable_cores()):
                log.write(json.dumps([unit.number, found]) + "\n")
                log.flush()
                os.fsync(log.fileno())
                damaged += found
                advance(self._images(unit.number))
        return sorted(damaged)

    def _images(self, number: int) -> int:
        first, last = self._units[number]
        return last - first

    def _tell(self, before: int, reporter: Reporter) -> None:
        size, side = in_bytes(self._count * 3 * self._side**2), self._side
        reporter.info(
            f"decoding {self._count:,} images of {self._source.title} to {side}x{side}, {size} in "
            f"{self._partial.parent}"
        )
        if before:
            reporter.info(f"going on after {before:,} of them, decoded before")

    def _todo(self, done: AbstractSet[int]) -> Iterator[Unit]:
        start = len(_header((self._count, self._side, self._side, 3)))
        pixels, hashes = self._partial / PIXELS, self._partial / HASHES
        for number, (first, last) in enumerate(self._units):
            if number not in done:
                piece = self._source.piece(first, last)
                yield Unit(number, first, piece, self._side, self._draft, pixels, start, hashes)


def _worked(units: Iterable[Unit], processes: int) -> Iterator[tuple[Unit, Damaged]]:
    """Yield units as they are done, by this process alone or by several others."""
    if processes == 1:
        for unit in units:
            yield unit, decode(unit)
        return
    with crew(processes) as together:
        yield from together.decode(units)


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


def _about(partial: Path, source: Source, damaged: Damaged, *, own_size: bool) -> dict[str, Any]:
    """Return what is asked of the images again and again."""
    rows = [row for row, _ in damaged]
    kept = np.setdiff1d(np.arange(len(source.classes)), np.array(rows, np.int64))
    hashes = np.fromfile(partial / HASHES, np.uint8).reshape(-1, HASH_BYTES)
    pixels = np.load(partial / PIXELS, mmap_mode="r")
    return {
        "labels": list(source.labels),
        "damaged": rows,
        "told": [f"{source.where(row)} ({reason})" for row, reason in damaged[:TOLD]],
        **content.of_files(hashes, source.classes, kept),
        **(content.of_pixels(pixels, source.classes, kept) if own_size else {}),
    }
