"""`hwnas bench`: prints a table per target, one over all targets, and what was learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import typer

from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.errors import HwnasError
from hwnas.workflows.bench.options import BenchOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

Row: TypeAlias = "Mapping[str, Any]"
UNKNOWN = "-"


@command(BenchOptions)
def bench(options: BenchOptions, *, json: bool) -> None:
    """Time a network on its devices against prediction and budget.

    The run's winner, its exported files in other precisions and baselines, side by side. Exit
    code 1 if the winner takes longer than its budget.

    Example: hwnas bench --target onnx-cpu --target tflite
    """
    from hwnas.workflows.bench import bench as workflow

    show = print_json if json else show_bench
    try:
        result = workflow.bench(options, TerminalReporter())
    except HwnasError as error:
        if error.result is not None:  # what was timed, though it could not be put to use
            show(error.result)
        raise
    show(result)
    if result["verdict"] == "FAIL":
        raise typer.Exit(1)


def show_bench(result: Mapping[str, Any]) -> None:
    """Print a result of `hwnas bench`, given as its JSON."""
    out = stdout()
    for name, facts in result["targets"].items():
        rows = [row for row in result["networks"] if row["target"] == name]
        if facts["measured"]:
            _show_measured(name, facts, rows)
        else:
            out.print(_expected(name, facts, rows[0]))
    if len(result["targets"]) > 1:
        out.print("\nall targets, median ms:")
        out.print(_summary(result))
    for change in result.get("recalibrated", ()):
        _show_change(change)
    out.print(f"{result['verdict']}  ({result.get('run') or result['model']})")


def _show_measured(name: str, facts: Mapping[str, Any], rows: Sequence[Row]) -> None:
    out, runtime = stdout(), facts["runtime"]
    out.print(f"measured on {name} ({runtime['name']} {runtime['version']}), one image at a time:")
    out.print(_table(rows))
    if facts["busy"]:
        out.print("other load disturbed the timing: close other programs and run it again")
    if (speed := facts["speed_against_table"]) is not None:
        out.print(
            f"this machine now takes {speed:.2f} times as long as when the table was made "
            "(reference network)"
        )


def _table(rows: Sequence[Row]) -> Table:
    table = _columns("network", "file")
    for column in ("params", "MAdds", "MB", "median ms", "p90", "p99", "predicted", "budget", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        error = "" if row["predicted_ms"] is None else f" ({row['prediction_error']:+.0%})"
        table.add_row(
            row["name"],
            "emitted here" if row["file"] is None else "given" if _alone(row) else "exported",
            *_counts(row),
            _megabytes(row["size_bytes"]),
            *(_ms(row[name]) for name in ("median_ms", "p90_ms", "p99_ms")),
            _ms(row["predicted_ms"]) + error,
            _ms(row["budget_ms"]),
            row["verdict"] or UNKNOWN,
        )
    return table


def _alone(row: Row) -> bool:
    """Return whether nothing but the file is known of the network."""
    return row["params"] is None


def _expected(name: str, facts: Mapping[str, Any], row: Row) -> str:
    doubt = facts["uncertainty_95pct"]
    if row["predicted_ms"] is None:
        told = f"no table predicts it (hwnas profile --target {name})"
    else:
        within = "" if doubt is None else f" +-{doubt:.0%}"
        told = f"{facts['prediction']} {_ms(row['predicted_ms'])} ms{within}"
    return f"not measured here: {name}: {told}, budget {_ms(row['budget_ms'])}"


def _summary(result: Mapping[str, Any]) -> Table:
    """Return one line per network, with a column per target."""
    targets = list(result["targets"])
    table = _columns("network")
    for column in ("params", "MAdds", "file MB", *targets):
        table.add_column(column, justify="right", no_wrap=True)
    networks: dict[str, dict[str, Row]] = {}
    for row in result["networks"]:
        networks.setdefault(row["name"], {})[row["target"]] = row
    for name in sorted(networks, key=lambda name: not name.startswith("winner")):
        rows = networks[name]
        sizes = (rows[target]["size_bytes"] if target in rows else None for target in targets)
        table.add_row(
            name,
            *_counts(next(iter(rows.values()))),
            " / ".join(dict.fromkeys(_megabytes(size) for size in sizes if size is not None)),
            *(_cell(rows.get(target), result["targets"][target]) for target in targets),
        )
    return table


def _cell(row: Row | None, facts: Mapping[str, Any]) -> str:
    if row is None:
        return UNKNOWN
    if not facts["measured"]:
        predicted = row["predicted_ms"]
        return UNKNOWN if predicted is None else f"{facts['prediction']} {_ms(predicted)}"
    return " ".join(filter(None, (_ms(row["median_ms"]), row["verdict"])))


def _show_change(change: Mapping[str, Any]) -> None:
    out, check = stdout(), change["validation"]
    before, after = check["before"], check["after"]
    out.print(
        f"\n{change['folder']} recalibrated: measured {_ms(change['measured_ms'])} ms, "
        f"{_ms(change['measured_ms'] / change['speed'])} ms at the speed of the table's day; "
        f"predicted {change['before_ms']:.4g} ms before, {change['after_ms']:.4g} ms now"
    )
    out.print(
        f"held-out check on {after['networks']} networks: MAPE {before['mape']:.2%} before, "
        f"{after['mape']:.2%} now; worst {before['worst']:.1%}, now {after['worst']:.1%}; margin "
        f"{before['margin']:.1%}, now {after['margin']:.1%}"
    )


def _columns(*names: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _counts(row: Row) -> tuple[str, str]:
    from hwnas import units

    if row["params"] is None:
        return UNKNOWN, UNKNOWN
    return units.PARAMS.format(row["params"]), units.MADDS.format(row["madds"])


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f}"


def _ms(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3g}"
