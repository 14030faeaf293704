"""`hwnas bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import lazy_help, options
from hwnas.cli.bench_table import show
from hwnas.cli.console import TerminalReporter, print_json
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.runs import Run

USUAL_BASELINES = ("mobilenet_v2",)


def bench(
    run: options.RunFolder = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="An .onnx or .tflite file instead of a run.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Device, see `hwnas targets`; may be repeated.",
            show_default="all that the run has a latency budget for",
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Networks to time beside it ({lazy_help.BASELINES}); may be repeated.",
            show_default="mobilenet_v2",
        ),
    ] = None,
    budget_latency: Annotated[
        list[str] | None,
        typer.Option(
            "--budget-latency",
            metavar="QUANTITY",
            help='With --model: "12ms", or "tflite=12ms"; may be repeated.',
        ),
    ] = None,
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate", help="Correct the targets' tables by what the winner was timed at."
        ),
    ] = False,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Time a network on its devices against prediction and budget.

    The run's winner, its exported files in other precisions and baselines, side by side. Exit
    code 1 if the winner takes longer than its budget.

    Example: hwnas bench --target onnx-cpu --target tflite
    """
    from hwnas.runs import find_run

    beside = baseline or list(USUAL_BASELINES)
    if model is not None:
        if run is not None or recalibrate:
            raise UserError("--model stands for itself: leave --run and --recalibrate out.")
        result = _of_model(model, target or (), budget_latency or (), beside)
        _print(result, json=json)
        _exit(result)
        return
    if budget_latency:
        raise UserError("--budget-latency is for --model: a run has budgets of its own.")
    found = find_run(workspace, run)
    bench_run(workspace, found, target or (), beside, recalibrate=recalibrate, json=json)


def bench_run(
    workspace: Path,
    run: Run,
    targets: Sequence[str],
    baselines: Sequence[str] = USUAL_BASELINES,
    *,
    recalibrate: bool = False,
    json: bool = False,
) -> None:
    """Time a run's winner, write bench.json, and print what was found.

    Raises:
        typer.Exit: with code 1 if the winner takes longer than its budget.
    """
    from hwnas.workflows.bench.recalibration import recalibrate as correct_tables
    from hwnas.workflows.bench.run import bench_winner

    done = bench_winner(
        workspace, run, targets, baselines, TerminalReporter(), recalibrating=recalibrate
    )
    result = done.to_json()
    try:
        if recalibrate:
            result["recalibrated"] = [one.to_json() for one in correct_tables(workspace, done)]
    finally:  # what was timed is told also where it could not be put to use
        _print(result, json=json)
    _exit(result)


def _of_model(
    path: Path, targets: Sequence[str], budgets: Sequence[str], baselines: Sequence[str]
) -> dict[str, Any]:
    from hwnas.workflows.bench.model import bench_model, read_model

    return bench_model(read_model(path), targets, budgets, baselines, TerminalReporter()).to_json()


def _print(result: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(result)
    else:
        show(result)


def _exit(result: dict[str, Any]) -> None:
    if result["verdict"] == "FAIL":
        raise typer.Exit(1)
