"""`hwnas bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout

if TYPE_CHECKING:
    from hwnas.runs import Run


def bench(
    run: options.RunFolder = None,
    target: options.Target = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="Networks to time beside it.", show_default="mobilenet_v2"),
    ] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Time the winner on its device against prediction and budget.

    Exit code 1 if it takes longer than its budget.

    Example: hwnas bench --baseline mobilenet_v2
    """
    from hwnas.runs import find_run

    result = bench_run(workspace, find_run(workspace, run), target, baseline or ["mobilenet_v2"])
    if json:
        print_json(result)
    else:
        show_bench(result)
    if result["verdict"] == "FAIL":
        raise typer.Exit(1)


def bench_run(
    workspace: Path, run: Run, target: str | None, baselines: list[str]
) -> dict[str, Any]:
    """Time a run's winner and write bench.json."""
    from hwnas.workflows.bench_run import bench_winner

    return bench_winner(workspace, run, target, baselines, TerminalReporter())


def show_bench(result: dict[str, Any]) -> None:
    """Print the comparison as a table."""
    from rich.table import Table

    from hwnas import units

    table = Table(box=None, pad_edge=False)
    table.add_column("network", no_wrap=True)
    for column in ("params", "MAdds", "file MB"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("median ms", "p90", "p99", "predicted", "budget", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for row in result["networks"]:
        error = "" if row["predicted_ms"] is None else f" ({row['prediction_error']:+.0%})"
        table.add_row(
            row["name"],
            units.PARAMS.format(row["params"]),
            units.MADDS.format(row["madds"]),
            f"{row['size_bytes'] / 1e6:.2f}",
            *(_ms(row[name]) for name in ("median_ms", "p90_ms", "p99_ms")),
            _ms(row["predicted_ms"]) + error,
            _ms(row["budget_ms"]),
            row["verdict"] or "-",
        )
    out = stdout()
    out.print(f"measured on {result['target']}, one image at a time:")
    out.print(table)
    if result["busy"]:
        out.print("other load disturbed the timing: close other programs and run it again")
    if result["speed_against_table"] is not None:
        out.print(
            f"this machine now takes {result['speed_against_table']:.2f} times as long as when "
            "the table was made (reference network)"
        )
    out.print(f"{result['verdict']}  ({result['run']})")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
