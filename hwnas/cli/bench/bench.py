"""`hwnas bench`."""

from __future__ import annotations

import typer

from hwnas.cli.bench.table import show_bench
from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json
from hwnas.errors import HwnasError
from hwnas.workflows.bench.options import BenchOptions


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
