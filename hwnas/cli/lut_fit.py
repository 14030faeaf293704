"""`hwnas lut fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.errors import CheckFailed, UserError

if TYPE_CHECKING:
    from hwnas.lut.grid import GridFit
    from hwnas.workflows.profile.here import Profiled


def fit(
    timings: Annotated[Path, typer.Argument(help="CSV of whole-network times, may be .gz.")],
    target: options.Target = None,
    space: options.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    ops: Annotated[
        str | None,
        typer.Option("--ops", help="Op columns of any benchmark's grid, in order: b0,b1,..."),
    ] = None,
    latency: Annotated[
        str | None, typer.Option("--latency", help="Latency column (ms) of the grid.")
    ] = None,
    empty: Annotated[
        str | None, typer.Option("--empty", help="Op of the grid that takes no time.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Where the times of the grid's ops go.",
            show_default="FILE-COLUMN-parts.csv in the current folder",
        ),
    ] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Make a table from times of whole networks alone.

    With --target: a CSV with columns arch, latency_ms (optional: runs, standard_error_ms) becomes
    the target's table. With --ops and --latency: the grid of any benchmark becomes a CSV of
    position, op, ms. At least 50 networks; a quarter of them, 30 or more, only check the fit.

    Example: hwnas lut fit times.csv --target iphone5s --space rcnet-imagenet
    """
    _require_one_kind(target, space, ops, latency)
    if ops is None:
        geometry = {"input_size": input_size, "classes": classes, "width": width}
        _fit_target(timings, str(target), space, geometry, workspace, json=json)
    else:
        _fit_grid(timings, ops, str(latency), empty, out, json=json)


def _require_one_kind(
    target: str | None, space: str | None, ops: str | None, latency: str | None
) -> None:
    if ops is None and target is None:
        raise UserError(
            "say what the file holds: --target T --space S for networks of an RCNet space, or "
            "--ops b0,b1,... --latency COLUMN for the grid of any benchmark."
        )
    if ops is not None and (target is not None or space is not None):
        raise UserError("--ops is for grids of any benchmark, --target and --space are for RCNet.")
    if (ops is None) != (latency is None):
        raise UserError("--ops and --latency belong together: name the columns of the grid.")


def _fit_target(
    path: Path,
    target: str,
    space: str | None,
    geometry: dict[str, Any],
    workspace: Path,
    *,
    json: bool,
) -> None:
    from hwnas.device import find_target
    from hwnas.spaces import find_space
    from hwnas.workflows.lut.fit import fit_target

    device = find_target(target)
    chosen = find_space(space or device.default_space, **geometry)
    done = fit_target(path, device, chosen, workspace, TerminalReporter())
    meta = done.table.meta
    if json:
        told = ("source", "timings", "fit", "unseen_keys", "validation")
        print_json(
            {
                "target": target,
                "space": chosen.name,
                "folder": str(done.folder),
                "rows": len(done.table.rows),
                **{name: meta[name] for name in told},
            }
        )
    else:
        _show_table(done)
    _check(meta["validation"]["failures"], "`search` will refuse this table")


def _show_table(done: Profiled) -> None:
    table, meta, out = done.table, done.table.meta, stdout()
    check, unseen = meta["validation"], meta["unseen_keys"]
    out.print(
        f"{done.folder}: {len(table.rows)} blocks of {table.space.name}, fitted to "
        f"{meta['fit']['networks']} networks of {meta['timings']['file']}"
    )
    out.print(_errors(check))
    out.print(
        f"margin: at least {check['confidence']:.0%} of networks take at most "
        f"{check['margin']:.1%} more than predicted, with "
        f"{table.margin_certainty(check['confidence']):.0%} certainty"
    )
    if unseen:
        out.print(
            f"{len(unseen)} of {len(table.rows)} blocks are in none of those networks, and told by "
            f"blocks like them only: {', '.join(unseen[:4])}{', ...' if len(unseen) > 4 else ''}"
        )
    start_ms = table.latency_ms(table.space.start())
    out.print(f"start network: {start_ms:.4g} ms (fitted)")
    out.print(f"next: hwnas search --target {table.target} --budget-latency {2 * start_ms:.2g}ms")


def _fit_grid(
    path: Path, ops: str, latency: str, empty: str | None, out: Path | None, *, json: bool
) -> None:
    from hwnas.workflows.lut.fit import fit_file

    columns = [name.strip() for name in ops.split(",") if name.strip()]
    if not columns:
        raise UserError("--ops names no column: write for instance --ops b0,b1,b2")
    place = out or Path(f"{path.name.split('.')[0]}-{latency}-parts.csv")
    fit = fit_file(path, columns, latency, empty, place, TerminalReporter())
    if json:
        print_json(_grid_json(fit, columns, latency, place))
    else:
        _show_grid(fit, columns, place)
    _check(fit.accuracy.gate(), "a sum over positions does not describe these networks well")


def _grid_json(fit: GridFit, columns: list[str], latency: str, place: Path) -> dict[str, Any]:
    check = {**fit.accuracy.to_json(), "median_error": fit.median_error, "r2": fit.r2}
    return {
        "file": str(place),
        "latency": latency,
        "elements": len(fit.grid.elements),
        "fixed_ms": float(fit.times.parts_ms[0]),
        "fit": {"networks": fit.training, **fit.times.to_json()},
        "unseen": [[columns[position], op] for position, op in fit.unseen],
        "validation": {**check, "failures": fit.accuracy.gate()},
    }


def _show_grid(fit: GridFit, columns: list[str], place: Path) -> None:
    out = stdout()
    out.print(
        f"{place}: {len(fit.grid.elements)} ops at {len(columns)} positions and a fixed part of "
        f"{fit.times.parts_ms[0]:.4g} ms, fitted to {fit.training} networks"
    )
    check = fit.accuracy.to_json()
    out.print(f"{_errors(check)}, median error {fit.median_error:.2%}, R2 {fit.r2:.3f}")
    if unseen := [f"{columns[position]}={op}" for position, op in fit.unseen]:
        out.print(
            f"{len(unseen)} are in none of those networks, and told by others only: "
            f"{', '.join(unseen[:6])}{', ...' if len(unseen) > 6 else ''}"
        )


def _errors(check: dict[str, Any]) -> str:
    return (
        f"held-out check on {check['networks']} whole networks: MAPE {check['mape']:.2%}, "
        f"within 5%: {check['within_5pct']:.0%}, within 10%: {check['within_10pct']:.0%}, "
        f"Kendall tau {check['kendall_tau']:.3f}, worst {check['worst']:.1%}"
    )


def _check(failures: list[str], meaning: str) -> None:
    if failures:
        raise CheckFailed(
            f"held-out check failed: {'; '.join(failures)}: {meaning}. Time more networks, or time "
            "them on an idle device."
        )
