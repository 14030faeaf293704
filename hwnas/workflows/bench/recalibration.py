"""`hwnas bench --recalibrate`: what was measured goes back into the tables that predicted it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hwnas.errors import CheckFailed, TableError
from hwnas.files import require_writable
from hwnas.lut.library import Library
from hwnas.lut.storage import save
from hwnas.lut.table import profile_command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.lut.table import Table
    from hwnas.profiler.refit import Change
    from hwnas.workflows.bench.timing import Bench, Target
    from hwnas.workflows.winner import Winner


def require_recalibratable(winner: Winner, targets: Sequence[Target]) -> None:
    """Check, before anything is timed, that there is a table to recalibrate on each target.

    Targets that cannot be timed here are left out, unless there is no other.

    Raises:
        TableError: a table is missing, or cannot be fitted again.
    """
    from hwnas.profiler.refit import require_refittable

    for target in [target for target in targets if target.local] or targets:
        if target.table is None:
            name, space = target.profile.name, winner.space.name
            raise TableError(
                f"there is no table of {name} for {space} to recalibrate. Build it: "
                f"{profile_command(name, space)}"
            )
        require_refittable(target.table, winner.arch)


def recalibrate(workspace: Path, winner: Winner, timed: Sequence[Bench]) -> list[dict[str, Any]]:
    """Add the winner's times to the tables of all targets that were timed, and write these.

    New tables go to the workspace, also where the old one was a shipped one, which stays.

    Returns:
        Of each table where it was written, what changed of the network's prediction, and the
        held-out check before and after.

    Raises:
        CheckFailed: the machine was busy, or a table would fail its check; nothing is written.
        UserError: the workspace cannot be written.
    """
    for one in timed:
        if one.busy:
            raise CheckFailed(
                f"other load disturbed the timing on {one.target.profile.name}, so no table was "
                "recalibrated: close other programs and run the same command again."
            )
    library = Library(workspace)
    require_writable(library.own)
    return [_written(library, *new) for new in [_fitted(winner, one) for one in timed]]


def _fitted(winner: Winner, timed: Bench) -> tuple[Table, Table, Change]:
    """Return a table as it was, and fitted again."""
    from hwnas.profiler.refit import recalibrated

    table = timed.target.table
    if table is None or timed.speed is None:
        raise ValueError("require_recalibratable was not asked before the timing")
    ms, speed = timed.timings[0].median_ms, timed.speed
    profile = timed.target.profile
    return table, *recalibrated(table, profile, winner.arch, measured_ms=ms, speed=speed)


def _written(library: Library, old: Table, new: Table, change: Change) -> dict[str, Any]:
    folder = library.folder(new.target, new.space.name)
    save(new, folder)
    return {
        "target": new.target,
        "folder": str(folder),
        **asdict(change),
        "validation": {"before": old.meta["validation"], "after": new.meta["validation"]},
    }
