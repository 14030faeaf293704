"""Time a finished table's parts again and replace those that were unstable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.profiler.clock import LocalClock
from hwnas.profiler.recording import open_recording
from hwnas.profiler.refit import own_parts, refit
from hwnas.profiler.timing import Stopwatch

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.targets.backend import Backend

ROUNDS = 200


def replace_unstable(
    table: Table,
    profile: DeviceProfile,
    backend: Backend,
    reporter: Reporter,
    partial: Path,
    *,
    rounds: int = ROUNDS,
) -> Table:
    """Return the table with its unstable parts timed anew, corrected and checked again.

    All parts run, so that the stable ones tell how fast the machine is now; their own entries
    stay. An unstable part is replaced if it has become more certain. The whole networks are those
    that the table was made with.

    Args:
        table: a measured one of this machine, runtime and set-up.
        profile: its target.
        backend: runs it.
        reporter: is shown progress.
        partial: keeps the rounds until all are timed.
        rounds: how often each part runs.

    Raises:
        UserError: `partial` cannot be written.
    """
    clock = LocalClock(table.space, backend, profile.threads)
    stopwatch = Stopwatch(profile, table.space, clock, reporter)
    recording = open_recording(partial, stopwatch.parts_identity(rounds), fresh=False)
    timed = stopwatch.time_parts(rounds, recording).parts
    stable = [key for key, row in table.rows.items() if not row.unstable] or list(table.rows)
    speed = float(np.median([timed[key].value / table.rows[key].raw_ms for key in stable]))
    parts = own_parts(table)
    for key, row in table.rows.items():
        again = timed[key].scaled(1 / speed)
        if row.unstable and again.relative_half_width < row.relative_half_width:
            parts[key] = again
    replaced = refit(table, profile, parts=parts)
    recording.discard()
    return replaced
