"""`hwnas export` and `hwnas bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.cli.lazy_help import BASELINES

if TYPE_CHECKING:
    from hwnas.runs import Run
    from hwnas.workflows.winner import Winner


def export(
    form: Annotated[
        str | None,
        typer.Option("--format", help="onnx or coreml.", show_default="the target's"),
    ] = None,
    run: options.RunFolder = None,
    arch: Annotated[str | None, typer.Option(help="An architecture instead of a run.")] = None,
    space: options.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="With --arch: export it untrained.")
    ] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="With --arch: its weights.")] = None,
    seed: options.Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder.", show_default="RUN/export")] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Write a model file that was checked against torch.

    Example: hwnas export --format coreml
    """
    from hwnas.errors import UserError
    from hwnas.runs import find_run
    from hwnas.spaces import find_space
    from hwnas.workflows import winner as winners

    if arch is None:
        found = find_run(workspace, run)
        winner, folder = winners.of_run(found), found.path / "export"
        origin = {"run": found.path.name}
    else:
        if not random_weights and checkpoint is None:
            raise UserError("--arch needs weights: give --checkpoint FILE or --random-weights.")
        geometry: dict[str, Any] = {"input_size": input_size, "classes": classes, "width": width}
        chosen = find_space(space or "rcnet-imagenet", **geometry)
        winner = winners.by_hand(arch, chosen, checkpoint, seed)
        folder, origin = workspace / "export", {}
    result = export_winner(winner, form, out or folder, origin)
    if json:
        print_json(result)
    else:
        show_export(result)


def export_winner(
    winner: Winner, form: str | None, folder: Path, origin: dict[str, str]
) -> dict[str, Any]:
    """Export, warning first when the weights are random."""
    from hwnas.device import find_target
    from hwnas.files import require_writable
    from hwnas.workflows import export as exports

    name = form or (find_target(winner.target).export_format if winner.target else "onnx")
    chosen = exports.find_format(name)
    require_writable(folder)
    if winner.outdated:
        TerminalReporter().warn(
            "the winner has changed since it was trained: `hwnas train` trains this one, and "
            "keeps that training in the run's folder."
        )
    if not winner.trained:
        TerminalReporter().warn(
            "this network is not trained: the file holds random weights, good for timing only "
            "(`hwnas train` first, for a useful one)."
        )
    return exports.export(winner, chosen, folder, origin)


def show_export(result: dict[str, Any]) -> None:
    """Print what was written and how it was checked."""
    out, parity = stdout(), result["parity"]
    version = result.get("specification_version")
    spec = f", specification version {version}" if version else ""
    weights = "" if result["trained"] else ", RANDOM weights"
    out.print(
        f"{result['file']}: {result['size_bytes'] / 1e6:.2f} MB{spec}, "
        f"{result['precision']}{weights}"
    )
    out.print(
        f"parity with torch on {parity['images']} images, run by {parity['executor']}: "
        f"{parity['outputs']} differ by {parity['max_abs']:.1e} absolute, "
        f"{parity['max_rel']:.1e} relative; same class on top for {parity['top1_agreement']:.0%}"
    )
    use = {
        "coreml": "add the file to an Xcode project",
        "onnx": "hwnas bench",
        "tflite": "hwnas bench --target tflite",
    }
    out.print(f"runs on: {result['target_os']}\nnext: {use[result['format']]}")


def bench(
    run: options.RunFolder = None,
    target: options.Target = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Networks to time beside it ({BASELINES}); may be repeated.",
            show_default="mobilenet_v2",
        ),
    ] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Time the winner on its device against prediction and budget.

    Exit code 1 if it takes longer than its budget.

    Example: hwnas bench --baseline mobilenet_v3_small --baseline shufflenet_v2
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
