"""Helpers that decode: processes that end with the one that they help, however it ends."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from hwnas.data.decoding.unit import Damaged, Unit

PACKAGES = Path(__file__).parents[3]
"""Where hwnas itself is imported from: helpers must find the same."""


@contextmanager
def crew(size: int) -> Iterator[Crew]:
    """Start helpers, and end them with the body, also where that ends in the middle."""
    helpers = [_Helper() for _ in range(size)]
    try:
        yield Crew(helpers)
    finally:
        for helper in helpers:
            helper.stop()


class Crew:
    """Some helpers."""

    def __init__(self, helpers: list[_Helper]) -> None:
        self._helpers = helpers
        self._idle: SimpleQueue[_Helper] = SimpleQueue()
        for helper in helpers:
            self._idle.put(helper)

    def decode(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Damaged]]:
        """Yield units with what came of them, as they are done.

        Raises:
            UserError: an image cannot be read, or a helper died.
            OSError: the results cannot be written.
        """
        threads = ThreadPoolExecutor(len(self._helpers))
        busy: dict[Future[Damaged], Unit] = {}
        try:
            for unit in units:
                busy[threads.submit(self._decode, unit)] = unit
                if len(busy) > len(self._helpers):
                    yield from _finished(busy)
            while busy:
                yield from _finished(busy)
        except BaseException:  # Ctrl-C too: nobody waits for what helpers are at
            for helper in self._helpers:
                helper.kill()
            raise
        finally:
            threads.shutdown(cancel_futures=True)

    def _decode(self, unit: Unit) -> Damaged:
        helper = self._idle.get()
        try:
            return helper.decode(unit)
        finally:
            self._idle.put(helper)


def _finished(busy: dict[Future[Damaged], Unit]) -> list[tuple[Unit, Damaged]]:
    """Wait for at least one unit, and return those that are done, which are then not busy."""
    done, _ = wait(busy, return_when=FIRST_COMPLETED)
    return [(busy.pop(future), future.result()) for future in done]


class _Helper:
    """A process that decodes one unit after the other.

    Not one of `multiprocessing`: those run the user's own script again when they start, and
    processes that score candidates may not have any.
    """

    def __init__(self) -> None:
        paths = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hwnas.data.decoding.unit"],
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

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not sent to a process that is gone
                    pipe.close()
