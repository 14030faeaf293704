"""`hwnas lut fit`: from timings of whole networks to the times of their parts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.files import require_writable, write_text
from hwnas.lut.additive import STEPS
from hwnas.lut.grid import GridFit, fit_grid
from hwnas.lut.library import Library
from hwnas.lut.storage import save
from hwnas.lut.timings import read_grid, read_timings
from hwnas.profiler.fitted import fit_table
from hwnas.workflows.profile.here import Profiled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace

COLUMNS = ("position", "op", "latency_ms", "latency_low_ms", "latency_high_ms", "networks")
FIXED = "(fixed)"
"""Position of the row for what every network takes: stem, head and the call itself."""


def fit_target(
    path: Path, profile: DeviceProfile, space: RcnetSpace, workspace: Path, reporter: Reporter
) -> Profiled:
    """Fit a target's table to a file of timings and write it where `search` finds it.

    Raises:
        UserError: a file that is not right or too short, or a workspace that cannot be written.
    """
    timings = read_timings(path, space)
    folder = Library(workspace).folder(profile.name, space.name)
    require_writable(folder.parent)
    with reporter.task(f"fitting {len(timings.networks)} networks", STEPS) as step:
        table = fit_table(profile, space, timings, step)
    save(table, folder)
    return Profiled(table, folder)


def fit_file(
    path: Path,
    positions: Sequence[str],
    latency: str,
    empty: str | None,
    out: Path,
    reporter: Reporter,
) -> GridFit:
    """Fit the elements of a grid and write them to a CSV.

    Raises:
        UserError: a file that is not right or too short, an empty op that no network has, or a
            place that cannot be written.
    """
    timings = read_grid(path, positions, latency)
    if empty is not None and empty not in timings.ops:
        raise UserError(f"--empty {empty!r}: no network of {path} has that op.")
    require_writable(out.parent)
    with reporter.task(f"fitting {len(timings.times_ms)} networks", STEPS) as step:
        fit = fit_grid(timings, empty, step)
    write_text(out, _to_csv(fit, timings.positions, empty))
    return fit


def _to_csv(fit: GridFit, positions: Sequence[str], empty: str | None) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    low, high = fit.times.interval_ms
    names = [(FIXED, ""), *((positions[position], op) for position, op in fit.grid.elements)]
    for name, *times, networks in zip(names, fit.times.parts_ms, low, high, fit.seen, strict=True):
        writer.writerow([*name, *(f"{value:.9g}" for value in times), networks])
    if empty is not None:
        writer.writerows((position, empty, 0, 0, 0, "") for position in positions)
    return stream.getvalue()
