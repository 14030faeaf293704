"""`hwnas lut fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.cli.accuracy import margin, spread
from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.errors import CheckFailed
from hwnas.workflows.lut.options import LutFitOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.workflows.lut.fit import FittedGrid, FittedTable


@command(LutFitOptions)
def fit(options: LutFitOptions, *, json: bool) -> None:
    """Make a table from times of whole networks alone.

    With --target: a CSV with columns arch, latency_ms (optional: runs, standard_error_ms) becomes
    the target's table. With --ops and --latency: the grid of any benchmark becomes a CSV of
    position, op, ms. At least 50 networks; a quarter of them, 30 or more, only check the fit.

    Example: hwnas lut fit times.csv --target iphone5s --space rcnet-imagenet
    """
    from hwnas.workflows.lut import fit as workflow

    done = workflow.fit(options, TerminalReporter())
    if json:
        print_json(done.to_json())
    elif isinstance(done, workflow.FittedTable):
        _show_table(done)
    else:
        _show_grid(done)
    if done.failures:
        meaning = (
            "`search` will refuse this table"
            if isinstance(done, workflow.FittedTable)
            else "a sum over positions does not describe these networks well"
        )
        raise CheckFailed(
            f"held-out check failed: {'; '.join(done.failures)}: {meaning}. Time more networks, or "
            "time them on an idle device."
        )


def _show_table(done: FittedTable) -> None:
    table, meta, out = done.table, done.table.meta, stdout()
    check, unseen = meta["validation"], meta["unseen_keys"]
    out.print(
        f"{done.folder}: {len(table.rows)} blocks of {table.space.name}, fitted to "
        f"{meta['fit']['networks']} networks of {meta['timings']['file']}"
    )
    out.print(
        f"held-out check on {check['networks']} whole networks: MAPE {check['mape']:.2%}, "
        f"{spread(check)}"
    )
    out.print(margin(table))
    if unseen:
        out.print(
            f"{len(unseen)} of {len(table.rows)} blocks are in none of those networks, and told by "
            f"blocks like them only: {_first(unseen, 4)}"
        )
    start_ms = table.latency_ms(table.space.start())
    out.print(f"start network: {start_ms:.4g} ms (fitted)")
    out.print(f"next: hwnas search --target {table.target} --budget-latency {2 * start_ms:.2g}ms")


def _show_grid(done: FittedGrid) -> None:
    fit, out = done.fit, stdout()
    out.print(
        f"{done.file}: {len(fit.grid.elements)} ops at {len(done.positions)} positions and a fixed "
        f"part of {fit.times.parts_ms[0]:.4g} ms, fitted to {fit.training} networks"
    )
    check = fit.accuracy.to_json()
    out.print(
        f"held-out check on {check['networks']} whole networks: MAPE {check['mape']:.2%}, "
        f"{spread(check)}, median error {fit.median_error:.2%}, R2 {fit.r2:.3f}"
    )
    if unseen := [f"{position}={op}" for position, op in done.unseen]:
        out.print(
            f"{len(unseen)} are in none of those networks, and told by others only: "
            f"{_first(unseen, 6)}"
        )


def _first(names: Sequence[str], count: int) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
