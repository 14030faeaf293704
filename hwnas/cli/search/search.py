"""`hwnas search`."""

from __future__ import annotations

from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json
from hwnas.cli.search import found
from hwnas.workflows.search.options import SearchOptions


@command(SearchOptions)
def search(options: SearchOptions, *, json: bool) -> None:
    """Find the best network that keeps within all budgets.

    The same command again goes on where a killed one stopped.

    Example: hwnas search --budget-latency 190ms

    Of a table: hwnas search --space tabular:grid.csv --ops op1,op2 --empty skip --score accuracy
    --cost latency=latency_ms --budget latency=12.5
    """
    from hwnas.workflows.search import search as workflow

    result = workflow.search(options, TerminalReporter())
    print_json(result) if json else found.show_search(result)
