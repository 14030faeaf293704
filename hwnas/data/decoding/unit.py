"""The least that is decoded at a time: some images, into their places in two files.

Also the program that helpers run: `python -m hwnas.data.decoding.unit` takes units on standard
input, and ends when that does, with the process that it helps.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hwnas.data.decoding.decode import square
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.data.sources.source import Item

HASH_BYTES = 16
IMAGES_AT_A_TIME = 256

Damaged: TypeAlias = "list[tuple[int, str]]"
"""Rows that could not be decoded, and why not."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What there is to do.

    Attributes:
        number: of the unit.
        first: row of its first image.
        images: encoded ones.
        side: of the decoded ones.
        draft: see `hwnas.data.decoding.decode.square`.
        pixels: file with all rows' pixels.
        pixels_start: byte where the first row is.
        hashes: file with all rows' hashes, from the first byte on.
    """

    number: int
    first: int
    images: Iterable[Item]
    side: int
    draft: bool
    pixels: Path
    pixels_start: int
    hashes: Path


def decode(unit: Unit) -> Damaged:
    """Decode, and write so that it is still there if the machine stops; damaged rows stay black.

    Not through a memory map: on a full disk that ends the process in place of raising an error.

    Raises:
        UserError: an image cannot be read.
        OSError: the results cannot be written.
    """
    damaged: Damaged = []
    items, row = iter(unit.images), unit.first
    with unit.pixels.open("r+b") as pixels, unit.hashes.open("r+b") as hashes:
        pixels.seek(unit.pixels_start + row * 3 * unit.side**2)
        hashes.seek(row * HASH_BYTES)
        while some := list(islice(items, IMAGES_AT_A_TIME)):
            squares = [square(item, unit.side, draft=unit.draft) for item in some]
            pixels.write(_stacked(squares, unit.side).data)
            hashes.write(b"".join(map(_hash, some)))
            damaged += [(row + n, why) for n, why in enumerate(squares) if isinstance(why, str)]
            row += len(some)
        for stream in (pixels, hashes):
            stream.flush()
            os.fsync(stream.fileno())
    return damaged


def _stacked(squares: list[NDArray[np.uint8] | str], side: int) -> NDArray[np.uint8]:
    blank = np.zeros((side, side, 3), np.uint8)
    return np.stack([blank if isinstance(found, str) else found for found in squares])


def _hash(item: Item) -> bytes:
    content = item.tobytes() if isinstance(item, np.ndarray) else item
    return blake2b(content, digest_size=HASH_BYTES).digest()


def serve() -> None:
    """Decode units from standard input, and write what came of each to standard output."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        try:
            unit = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this
        except EOFError:
            return
        outcome: Damaged | Exception
        try:
            outcome = decode(unit)
        except (UserError, OSError, MemoryError) as error:
            outcome = error
        pickle.dump(outcome, results)
        results.flush()


if __name__ == "__main__":
    serve()
