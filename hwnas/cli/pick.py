"""`hwnas pick`."""

from __future__ import annotations

from hwnas.cli import found, options
from hwnas.cli.console import TerminalReporter, print_json


def pick(
    budget_latency: options.Latency = None,
    budget_params: options.Params = None,
    budget_madds: options.Madds = None,
    budget_energy: options.Energy = None,
    budget_memory: options.Memory = None,
    budget_size: options.Size = None,
    budget: options.Budget = None,
    run: options.RunFolder = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Answer another budget from a finished run, without any training.

    The best of all networks that the run scored is told. A budget given here takes the place of
    the run's own on the same cost, or is added; the run's other budgets stay in force.

    Example: hwnas pick --budget-latency 150ms
    """
    from hwnas.errors import UserError
    from hwnas.runs import find_run
    from hwnas.workflows.search import pick as picks

    quantities = options.by_resource(
        budget_latency, budget_params, budget_madds, budget_energy, budget_memory, budget_size
    )
    if not quantities and not budget:
        raise UserError("give at least one other budget, for instance --budget-latency 150ms.")
    folder = find_run(workspace, run)
    request = picks.request_of(folder).within(quantities, budget or [])
    result = picks.pick(folder, request.open(workspace, TerminalReporter(), force=True))
    if json:
        print_json(result)
    else:
        found.show_pick(request, result)
