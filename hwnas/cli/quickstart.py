"""`hwnas quickstart`."""

from __future__ import annotations

from typing import Any

import typer

from hwnas.cli.bench import show_bench
from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json
from hwnas.cli.export import show_exported
from hwnas.cli.profile import show_table
from hwnas.cli.search import show_search
from hwnas.cli.train import show_trained
from hwnas.workflows.quickstart import QuickstartOptions

SHOWN: dict[str, Any] = {
    "profile": show_table,
    "search": show_search,
    "train": show_trained,
    "export": show_exported,
    "bench": show_bench,
}
"""What prints the result of each command."""


@command(QuickstartOptions)
def quickstart(options: QuickstartOptions, *, json: bool) -> None:
    """Run the whole chain on bundled data, in about six minutes.

    Example: hwnas quickstart
    """
    from hwnas.workflows import quickstart as workflow

    for name, result in workflow.quickstart(options, TerminalReporter()):
        if not json:
            SHOWN[name](result)
    if json:
        print_json(result)
    if result["verdict"] == "FAIL":
        raise typer.Exit(1)
