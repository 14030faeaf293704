"""`hwnas lut fit`: from timings of whole networks to the times of their parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.files import csv_text, require_writable, write_text
from hwnas.lut.additive import STEPS
from hwnas.lut.grid import GridFit, fit_grid
from hwnas.lut.library import Library
from hwnas.lut.storage import save
from hwnas.lut.timing_files import read_grid, read_timings
from hwnas.profiler.fitted import fit_table
from hwnas.spaces import find_space

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.workflows.lut.options import LutFitOptions

COLUMNS = ("position", "op", "latency_ms", "latency_low_ms", "latency_high_ms", "networks")
FIXED = "(fixed)"
"""Position of the row for what every network takes: stem, head and the call itself."""


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A target's table, and where it was written."""

    table: Table
    folder: Path

    @property
    def failures(self) -> list[str]:
        """What failed in the check on networks that were held out."""
        found: list[str] = self.table.meta["validation"]["failures"]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it."""
        table = self.table
        told = ("source", "timings", "fit", "unseen_keys", "validation")
        return {
            "target": table.target,
            "space": table.space.name,
            "folder": str(self.folder),
            "rows": len(table.rows),
            **{name: table.meta[name] for name in told},
        }


@dataclass(frozen=True, slots=True)
class FittedGrid:
    """The times of a grid's ops.

    Attributes:
        fit: the times, and how well they predict.
        positions: names of the op columns.
        latency: name of the column that was fitted.
        file: CSV that was written.
    """

    fit: GridFit
    positions: tuple[str, ...]
    latency: str
    file: Path

    @property
    def failures(self) -> list[str]:
        """What failed in the check on networks that were held out."""
        return self.fit.accuracy.gate()

    @property
    def unseen(self) -> list[tuple[str, str]]:
        """(position, op) of what no network of the fit contains."""
        fit = self.fit
        elements = zip(fit.grid.elements, fit.seen[1:], strict=True)
        return [(self.positions[position], op) for (position, op), seen in elements if not seen]

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it."""
        fit = self.fit
        check = {**fit.accuracy.to_json(), "median_error": fit.median_error, "r2": fit.r2}
        return {
            "file": str(self.file),
            "latency": self.latency,
            "elements": len(fit.grid.elements),
            "fixed_ms": float(fit.times.parts_ms[0]),
            "fit": {"networks": fit.training, **fit.times.to_json()},
            "unseen": [list(element) for element in self.unseen],
            "validation": {**check, "failures": self.failures},
        }


def fit(options: LutFitOptions, reporter: Reporter) -> FittedTable | FittedGrid:
    """Fit a target's table, or the ops of a grid, and write them.

    Raises:
        UserError: options that do not go together, a file that is not right or too short, an
            empty op that no network has, or a place that cannot be written.
    """
    target, ops, latency = options.target, options.ops, options.latency
    if ops is not None and (target is not None or options.space is not None):
        raise UserError("--ops is for grids of any benchmark, --target and --space are for RCNet.")
    if ops is not None and latency is not None:
        return _fit_grid(options, ops, latency, reporter)
    if ops is None and target is None:
        raise UserError(
            "say what the file holds: --target T --space S for networks of an RCNet space, or "
            "--ops b0,b1,... --latency COLUMN for the grid of any benchmark."
        )
    if ops is not None or latency is not None or target is None:
        raise UserError("--ops and --latency belong together: name the columns of the grid.")
    return _fit_table(options, target, reporter)


def _fit_table(options: LutFitOptions, target: str, reporter: Reporter) -> FittedTable:
    profile = find_target(target)
    space = find_space(options.space or profile.default_space, **options.geometry)
    timings = read_timings(options.timings, space)
    folder = Library(options.workspace).folder(profile.name, space.name)
    require_writable(folder.parent)
    with reporter.task(f"fitting {len(timings.networks)} networks", STEPS) as step:
        table = fit_table(profile, space, timings, step)
    save(table, folder)
    return FittedTable(table, folder)


def _fit_grid(options: LutFitOptions, ops: str, latency: str, reporter: Reporter) -> FittedGrid:
    positions = tuple(name.strip() for name in ops.split(",") if name.strip())
    if not positions:
        raise UserError("--ops names no column: write for instance --ops b0,b1,b2")
    path, empty = options.timings, options.empty
    file = options.out or Path(f"{path.name.split('.')[0]}-{latency}-parts.csv")
    timings = read_grid(path, positions, latency)
    if empty is not None and empty not in timings.ops:
        raise UserError(f"--empty {empty!r}: no network of {path} has that op.")
    require_writable(file.parent)
    with reporter.task(f"fitting {len(timings.times_ms)} networks", STEPS) as step:
        found = fit_grid(timings, empty, step)
    write_text(file, _to_csv(found, positions, empty))
    return FittedGrid(found, positions, latency, file)


def _to_csv(fit: GridFit, positions: tuple[str, ...], empty: str | None) -> str:
    rows: list[Iterable[object]] = [COLUMNS]
    low, high = fit.times.interval_ms
    names = [(FIXED, ""), *((positions[position], op) for position, op in fit.grid.elements)]
    for name, *times, networks in zip(names, fit.times.parts_ms, low, high, fit.seen, strict=True):
        rows.append([*name, *(f"{value:.9g}" for value in times), networks])
    if empty is not None:
        rows.extend((position, empty, 0, 0, 0, "") for position in positions)
    return csv_text(rows)
