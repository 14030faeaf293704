"""`hwnas search` and `hwnas pick`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.workflows.search.options import PickOptions, SearchOptions

if TYPE_CHECKING:
    from hwnas.workflows.search.search import SearchRequest


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
    print_json(result) if json else show_search(result)


@command(PickOptions)
def pick(options: PickOptions, *, json: bool) -> None:
    """Answer another budget from a finished run.

    The best of all networks that the run scored is told. A budget given here takes the place of
    the run's own on the same cost, or is added; the run's other budgets stay in force.

    Example: hwnas pick --budget-latency 150ms
    """
    from hwnas.workflows.search import pick as workflow

    result = workflow.pick(options, TerminalReporter())
    print_json(result) if json else show_pick(result)


def show_search(result: dict[str, Any]) -> None:
    """Print what a search found."""
    from hwnas.runs import Run

    out, start, run = stdout(), result["start"], Run(Path(result["run"]))
    request = _request(result)
    out.print(f"winner: {request.describe(result['arch'])}")
    out.print(
        f"{_score(result)} (start network {start['score']:.4f}{_accuracy(start)}; "
        f"{result['score_source']})"
    )
    if start["score"] > result["score"]:
        _show_better_start(result)
    _show_costs(result)
    ended = "until the strategy ended" if result["complete"] else "until --max-evaluations"
    out.print(f"{result['evaluations']} networks scored, {ended}; run folder {result['run']}")
    _show_audit(result["audit"])
    if result["failed"]:
        out.print(f"{len(result['failed'])} networks could not be scored; see search.json")
    out.print(f"next: {request.after_search(run)}")


def _show_better_start(result: dict[str, Any]) -> None:
    """Tell that the start network did better than the winner where both were trained shortly."""
    start, dataset = result["start"]["arch"], result["made_with"]["dataset"]
    stdout().print(
        "the start network did better in this short training, which shows little of what depth is "
        "worth: before you rely on the winner, train both in full, with hwnas train and with "
        f"hwnas train --arch {shlex.quote(start)} --space {result['space']} --dataset {dataset}"
    )


def _show_audit(audit: dict[str, Any]) -> None:
    """Tell how far greedy's assumption held; nothing for other strategies."""
    out, bound = stdout(), audit["optimum_at_most"]
    if audit["stale_bounds"]:
        out.print(
            f"audit: {audit['violated']} of {audit['stale_bounds']} old gains were exceeded when "
            "looked at again (none would be, were scores exact and submodular)"
        )
    if bound is not None:
        out.print(
            f"audit: no network within the budgets has a candidate score above {bound:.4f}, were "
            "these monotone and submodular"
        )


def show_pick(result: dict[str, Any]) -> None:
    """Print what was picked."""
    out, request = stdout(), _request(result)
    out.print(f"best: {request.describe(result['arch'])}")
    out.print(f"{_score(result)} ({result['score_source']})")
    _show_costs(result)
    out.print(
        f"{result['within_budgets']} of the {result['networks']} networks that were scored keep "
        f"within the budgets; run folder {result['run']}"
    )
    out.print(f"next: {request.after_pick(result['arch'])}")


def _request(result: dict[str, Any]) -> SearchRequest:
    from hwnas.runs import Run
    from hwnas.workflows.search.search import request_of

    return request_of(Run(Path(result["run"])))


def _score(result: dict[str, Any]) -> str:
    noise = f" +- {result['score_stderr']:.4f}" if result["score_stderr"] else ""
    return f"score {result['score']:.4f}{noise}{_accuracy(result)}"


def _accuracy(result: dict[str, Any]) -> str:
    accuracy = result.get("accuracy")
    return "" if accuracy is None else f", accuracy {accuracy:.1%}"


def _show_costs(result: dict[str, Any]) -> None:
    from hwnas import units

    for name, value in result["costs"].items():
        dimension = units.known_as(name, result["cost_units"][name])
        budget = result["budgets"].get(name)
        label = result["cost_labels"][name]
        limit = f" of {dimension.format(budget['limit'])} ({budget['use']:.0%})" if budget else ""
        margin = f", with {budget['margin']:.1%} margin" if budget and budget["margin"] else ""
        line = f"{name:<18} {dimension.format(value)}{limit}  {label}{margin}"
        stdout().print(line)
