"""Timed rounds on disk while a profile runs, so that an interrupted one goes on."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.measure import Round


@dataclass(slots=True)
class Recording:
    """Rounds by batch, appended to a file of JSON lines after each round.

    Attributes:
        path: the file; its first line identifies device, runtime, space and plan.
        rounds: what has been timed, (batch, samples) in order of time.
    """

    path: Path
    rounds: list[tuple[int, Round]] = field(default_factory=list)

    def done(self, batch: int) -> int:
        """Return how many rounds of a batch have been timed."""
        return sum(number == batch for number, _ in self.rounds)

    def append(self, batch: int, samples: Round) -> None:
        """Keep one round.

        Raises:
            UserError: the disk is full, or cannot be written any more.
        """
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([batch, samples]) + "\n")
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}. Make room or mend permissions; the "
                "same command then goes on where it stopped."
            ) from None
        self.rounds.append((batch, samples))

    def discard(self) -> None:
        """Remove the file: the table is written."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


def open_recording(path: Path, identity: dict[str, Any], *, fresh: bool) -> Recording:
    """Return the recording of an interrupted profile, or a new one.

    A file of another device, runtime or plan, or a last line that was cut by a kill, is dropped.

    Raises:
        UserError: the folder cannot be written.
    """
    header = json.dumps(identity, sort_keys=True)
    try:
        lines = path.read_bytes().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    rounds = [] if fresh or lines[:1] != [header] else _parse(lines[1:])
    write_text(path, "\n".join([header, *map(json.dumps, rounds)]) + "\n")
    return Recording(path, rounds)


def _parse(lines: list[str]) -> list[tuple[int, Round]]:
    rounds: list[tuple[int, Round]] = []
    for line in lines:
        try:
            batch, samples = json.loads(line)
            rounds.append((batch, [(name, ms) for name, ms in samples]))
        except (TypeError, ValueError):
            break
    return rounds
