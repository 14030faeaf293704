"""What was measured, on disk while a profile runs, so that an interrupted one goes on."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hwnas.errors import UserError
from hwnas.files import fingerprint, write_text
from hwnas.measure import Round

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.profiler.clock import Place
    from hwnas.spaces import RcnetSpace

Entry = TypeVar("Entry")
TimedRound = tuple[int, Round]
"""(batch, samples)."""


def identity(
    profile: DeviceProfile, space: RcnetSpace, place: Place, what: object
) -> dict[str, Any]:
    """Return what must be equal for a recording of `what` to be gone on with."""
    return {
        "target": profile.name,
        "space": space.name,
        "threads": profile.threads,
        "precision": profile.precision,
        "runtime": place.version,
        "host": dict(place.device),
        "plan": fingerprint(what),
    }


@dataclass(slots=True)
class Recording(Generic[Entry]):
    """Entries of a file of JSON lines, to which each is appended as soon as it is known.

    Attributes:
        path: the file; its first line identifies device, runtime, space and plan.
        entries: in order of time.
    """

    path: Path
    entries: list[Entry] = field(default_factory=list)

    def append(self, entry: Entry) -> None:
        """Keep one entry.

        Raises:
            UserError: the disk is full, or cannot be written any more.
        """
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}. Make room or mend permissions; the "
                "same command then goes on where it stopped."
            ) from None
        self.entries.append(entry)

    def discard(self) -> None:
        """Remove the file: the table is written."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


def open_recording(
    path: Path, header: dict[str, Any], parse: Callable[[Any], Entry], *, fresh: bool
) -> Recording[Entry]:
    """Return the recording of an interrupted profile, or a new one.

    A file of another device, runtime or plan, or a last line that was cut by a kill, is dropped.

    Args:
        path: the file.
        header: see `identity`.
        parse: from JSON to an entry; raises TypeError or ValueError for what is none.
        fresh: do not go on with what is there.

    Raises:
        UserError: the folder cannot be written.
    """
    first = json.dumps(header, sort_keys=True)
    try:
        lines = path.read_bytes().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    entries: list[Entry] = []
    for line in [] if fresh or lines[:1] != [first] else lines[1:]:
        try:
            entries.append(parse(json.loads(line)))
        except (TypeError, ValueError):
            break
    write_text(path, "\n".join([first, *map(json.dumps, entries)]) + "\n")
    return Recording(path, entries)


def open_rounds(path: Path, header: dict[str, Any], *, fresh: bool) -> Recording[TimedRound]:
    """Return a recording of timed rounds; see `open_recording`."""

    def parse(value: Any) -> TimedRound:
        batch, samples = value
        return batch, [(name, ms) for name, ms in samples]

    return open_recording(path, header, parse, fresh=fresh)


def rounds_done(recording: Recording[TimedRound], batch: int) -> int:
    """Return how many rounds of a batch have been timed."""
    return sum(number == batch for number, _ in recording.entries)
