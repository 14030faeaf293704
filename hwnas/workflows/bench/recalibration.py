"""`hwnas bench --recalibrate`: what was measured goes back into the tables that predicted it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.errors import CheckFailed, TableError
from hwnas.files import require_writable
from hwnas.lut.library import Library
from hwnas.lut.storage import save
from hwnas.lut.table import profile_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hwnas.lut.table import Table
    from hwnas.profiler.refit import Change
    from hwnas.workflows.bench.run import Measured, Place, RunBench
    from hwnas.workflows.winner import Winner


@dataclass(frozen=True, slots=True)
class Recalibration:
    """A table that was fitted again.

    Attributes:
        target: of the table.
        folder: that it was written to.
        change: of the network's prediction.
        before: the held-out check of the table as it was.
        after: of the new one, on the same networks.
    """

    target: str
    folder: Path
    change: Change
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return all values."""
        return {
            "target": self.target,
            "folder": str(self.folder),
            **self.change.to_json(),
            "validation": {"before": dict(self.before), "after": dict(self.after)},
        }


def require_recalibratable(winner: Winner, places: Sequence[Place]) -> None:
    """Check, before anything is timed, that there is a table to recalibrate on each target.

    Targets that cannot be timed here are left out, unless there is no other.

    Raises:
        TableError: a table is missing, or cannot be fitted again.
    """
    from hwnas.profiler.refit import require_not_held_out, require_own_timings

    timed = [place for place in places if place.backend is not None]
    for place in timed or places:
        if place.table is None:
            raise TableError(
                f"there is no table of {place.profile.name} for {winner.space.name} to "
                f"recalibrate. Build it: {profile_command(place.profile.name, winner.space.name)}"
            )
        require_own_timings(place.table)
        require_not_held_out(place.table, winner.arch)


def recalibrate(workspace: Path, done: RunBench) -> list[Recalibration]:
    """Add the winner's times to the tables of all targets that were timed, and write these.

    New tables go to the workspace, also where the old one was a shipped one, which stays.

    Raises:
        CheckFailed: the machine was busy, or a table would fail its check; nothing is written.
        UserError: the workspace cannot be written.
    """
    for one in done.measured:
        if one.bench.busy:
            raise CheckFailed(
                f"other load disturbed the timing on {one.bench.target}, so no table was "
                "recalibrated: close other programs and run the same command again."
            )
    library = Library(workspace)
    require_writable(library.own)
    fitted = [_fitted(done.network, one) for one in done.measured]
    return [_written(library, one, *new) for one, new in zip(done.measured, fitted, strict=True)]


def _fitted(winner: Winner, measured: Measured) -> tuple[Table, Change]:
    from hwnas.profiler.refit import Later, recalibrated

    place, speed = measured.place, measured.bench.speed
    table = place.table
    if table is None or speed is None:
        raise ValueError("require_recalibratable was not asked before the timing")
    later = Later(winner.arch, measured.winner.median_ms, speed)
    return recalibrated(table, place.profile, later)


def _written(library: Library, measured: Measured, new: Table, change: Change) -> Recalibration:
    old = measured.place.table
    folder = library.folder(new.target, new.space.name)
    save(new, folder)
    before = {} if old is None else old.meta["validation"]
    return Recalibration(new.target, folder, change, before, new.meta["validation"])
