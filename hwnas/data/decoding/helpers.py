"""Units of images, decoded into their places by this process or by helpers.

Also the program that helpers run: `python -m hwnas.data.decoding.helpers` takes units on standard
input, and ends when that does, with the process that it helps, however that ends.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hwnas.data.decoding.decode import square
from hwnas.data.prefetch import ahead
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from hwnas.data.sources.source import Item

HASH_BYTES = 16
IMAGES_AT_A_TIME = 256

PACKAGES = Path(__file__).parents[3]
"""Where hwnas itself is imported from: helpers must find the same."""

Damaged: TypeAlias = "list[tuple[int, str]]"
"""Rows that could not be decoded, and why not."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The least that is decoded at a time: some images, into their places in two files.

    Attributes:
        number: of the unit.
        first: row of its first image.
        images: encoded ones.
        side: of the decoded ones.
        pixels: file with all rows' pixels.
        hashes: file with all rows' hashes.
        pixels_start: byte of the one where the first row is.
        hashes_start: byte of the other.
    """

    number: int
    first: int
    images: Iterable[Item]
    side: int
    pixels: Path
    hashes: Path
    pixels_start: int
    hashes_start: int


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
        hashes.seek(unit.hashes_start + row * HASH_BYTES)
        while some := list(islice(items, IMAGES_AT_A_TIME)):
            squares = [square(item, unit.side) for item in some]
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


def decode_all(units: Iterable[Unit], processes: int) -> Iterator[tuple[Unit, Damaged]]:
    """Yield units with what came of them: by this process alone, or by so many helpers.

    Helpers end with this generator, also where it is left in the middle.

    Raises:
        UserError: an image cannot be read, or a helper died.
        OSError: the results cannot be written.
    """
    if processes == 1:
        for unit in units:
            yield unit, decode(unit)
        return
    helpers = [_Helper() for _ in range(processes)]
    idle: SimpleQueue[_Helper] = SimpleQueue()
    for helper in helpers:
        idle.put(helper)

    def decode_by_helper(unit: Unit) -> tuple[Unit, Damaged]:
        helper = idle.get()
        try:
            return unit, helper.decode(unit)
        finally:
            idle.put(helper)

    try:
        # More threads than helpers, so that none is idle while a slow unit's turn has come.
        yield from ahead(decode_by_helper, units, 2 * processes)
    finally:
        for helper in helpers:
            helper.stop()


class _Helper:
    """A process that decodes one unit after the other.

    Not one of `multiprocessing`: those run the user's own script again when they start, and
    processes that score candidates may not have any.
    """

    def __init__(self) -> None:
        paths = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hwnas.data.decoding.helpers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            # Ctrl-C reaches all processes of a terminal's group; one alone decides what it means.
            start_new_session=True,
        )

    def decode(self, unit: Unit) -> Damaged:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a helper has pipes")
        try:
            pickle.dump(unit, self._process.stdin)
            self._process.stdin.flush()
            outcome: Damaged | Exception = pickle.load(self._process.stdout)  # noqa: S301
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise UserError(
                f"a process that decodes images died with exit code {self._process.wait()}, as "
                "happens when memory runs out; the same command goes on where it stopped."
            ) from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError, ValueError):  # not sent to what is gone; read by a thread
                    pipe.close()


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
