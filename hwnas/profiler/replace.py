"""Time a finished table's parts again and replace those that were unstable."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from hwnas.measure import Statistic
from hwnas.profiler.assemble import FACTS, Evidence, assemble
from hwnas.profiler.recording import open_recording
from hwnas.profiler.timing import Stopwatch

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Row, Table
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
    stopwatch = Stopwatch(profile, table.space, backend, reporter)
    recording = open_recording(partial, stopwatch.parts_identity(rounds), fresh=False)
    timed = stopwatch.time_parts(rounds, recording).parts
    stable = [key for key, row in table.rows.items() if not row.unstable] or list(table.rows)
    speed = float(np.median([timed[key].value / table.rows[key].raw_ms for key in stable]))
    parts = {key: _raw(row) for key, row in table.rows.items()}
    for key, row in table.rows.items():
        again = timed[key].scaled(1 / speed)
        if row.unstable and again.relative_half_width < row.relative_half_width:
            parts[key] = again
    found = Evidence(
        parts=parts,
        calibration=table.calibration,
        validation=tuple(n.timed for n in table.held_out),
        facts={name: table.meta[name] for name in FACTS},
        split_half_noise=table.meta["validation"]["split_half_noise"],
    )
    replaced = _keep_powers(assemble(profile, table.space, backend, found), table)
    recording.discard()
    return replaced


def _raw(row: Row) -> Statistic:
    """Return the timing of the part alone, which the row was made from."""
    factor = row.raw_ms / row.latency_ms
    return Statistic(
        row.raw_ms, row.latency_low_ms * factor, row.latency_high_ms * factor, row.samples
    )


def _keep_powers(new: Table, old: Table) -> Table:
    """Keep the measured power of each part: only its time has changed."""
    if old.meta["energy_source"] != "measured":
        return new
    rows = {}
    for key, row in new.rows.items():
        watts = (old.rows[key].energy_mj or 0.0) / old.rows[key].latency_ms
        rows[key] = dataclasses.replace(
            row,
            energy_mj=watts * row.latency_ms,
            energy_source=old.rows[key].energy_source,
        )
    meta = {**new.meta, "energy_source": "measured", "energy": old.meta.get("energy")}
    return dataclasses.replace(new, rows=rows, meta=meta)
