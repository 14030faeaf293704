"""`hwnas pick`."""

from __future__ import annotations

from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json
from hwnas.cli.search import found
from hwnas.workflows.search.options import PickOptions


@command(PickOptions)
def pick(options: PickOptions, *, json: bool) -> None:
    """Answer another budget from a finished run, without any training.

    The best of all networks that the run scored is told. A budget given here takes the place of
    the run's own on the same cost, or is added; the run's other budgets stay in force.

    Example: hwnas pick --budget-latency 150ms
    """
    from hwnas.workflows.search import pick as workflow

    result = workflow.pick(options, TerminalReporter())
    print_json(result) if json else found.show_pick(result)
