"""`hwnas search`: from its options to a finished search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from hwnas.errors import UserError
from hwnas.evaluate.evaluation import SideBySide
from hwnas.files import sweep
from hwnas.runs import run_for
from hwnas.search.rcas import GREEDY
from hwnas.search.rules import default_rules, make_rules
from hwnas.search.strategy import Options
from hwnas.spaces import TABULAR
from hwnas.workflows.search.engine import Search
from hwnas.workflows.search.evaluators import scoring
from hwnas.workflows.search.network_request import NetworkRequest
from hwnas.workflows.search.table_request import TableRequest
from hwnas.workflows.winner import SEARCH_FIRST

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.cost import Problem
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.workflows.search.options import SearchOptions
    from hwnas.workflows.search.request import Opened

SearchRequest: TypeAlias = NetworkRequest | TableRequest


def search(options: SearchOptions, reporter: Reporter) -> dict[str, Any]:
    """Run the search that was asked for, or go on with it; return the content of search.json.

    Everything that can be wrong is found before anything is trained or written.

    Raises:
        UserError: an option, table, budget, rule, data set or folder is not right.
        InfeasibleError: no network meets the budgets.
    """
    request, runs = request_for(options), options.workspace / "runs"
    opened = request.open(reporter)
    opened.problem.start()
    planned = plan(request, opened, reporter)
    planned.check()
    if request.strategy in GREEDY:
        _check_first_round(opened.problem, planned, reporter)
    asked = request.to_json(opened)
    run = run_for(options.workspace, request.run_name, asked, options.run)
    sweep(runs)
    _announce(planned, run.path, reporter)
    result = planned.run(run, runs / "evaluations.sqlite", reporter)
    run.write("request.json", asked)
    return result


def request_for(options: SearchOptions) -> SearchRequest:
    """Return what the options mean.

    Raises:
        UserError: one is not right, or some do not go together.
    """
    return _kind(options.space).of(options)


def request_of(run: Run) -> SearchRequest:
    """Return what was asked of a run.

    Raises:
        UserError: another version of hwnas wrote it, or it is damaged.
    """
    values: dict[str, Any] = run.read("request.json", SEARCH_FIRST)
    with run.as_written("request.json"):
        return _kind(values["space"]).from_json(values)


def _kind(space: str | None) -> type[SearchRequest]:
    return TableRequest if space is not None and space.startswith(TABULAR) else NetworkRequest


def plan(request: SearchRequest, opened: Opened, reporter: Reporter) -> Search:
    """Return the search that a request means, its data ready.

    Args:
        request: what was asked.
        opened: its files.
        reporter: is shown what it takes to make the data ready.

    Raises:
        UserError: unknown rule, evaluator or data set, or there is no such device.
    """
    problem, names = opened.problem, request.rule_names
    rules = make_rules(problem, names) if names else default_rules(problem)
    return Search(
        problem,
        opened.costs,
        request.strategy,
        Options(
            tuple(rules),
            request.seed,
            request.refreshes or None,
            request.replicates,
            request.batch,
        ),
        scoring(request, reporter),
        request.limit,
        request.processes,
        request.ray,
    )


def _check_first_round(problem: Problem, planned: Search, reporter: Reporter) -> None:
    """Refuse a limit below the first round, without which no block can be chosen; tell of none."""
    space, start, limit = problem.space, problem.start(), planned.max_evaluations
    networks = (space.add(start, element) for element in space.elements(start))
    count = 1 + len({space.canonical(arch) for arch in networks if problem.feasible(arch)})
    if count == 1:
        reporter.warn(
            f"{planned.strategy} ends at once, as nothing can be added to the start network: other "
            "strategies look further, for instance --strategy evolution."
        )
    if limit is not None and limit < count:
        raise UserError(
            f"--max-evaluations {limit} does not do: the start network and what can be added to it "
            f"are {count} networks already. Give at least {count}."
        )


def _announce(planned: Search, folder: Path, reporter: Reporter) -> None:
    budgets = "; ".join(str(budget) for budget in planned.problem.budgets)
    limit = planned.max_evaluations
    count = f"at most {limit} networks" if limit else "networks until the strategy ends"
    reporter.info(f"searching {planned.problem.space.name} within {budgets}")
    reporter.info(
        f"scoring {count} {planned.scoring.made_with}, {_at_a_time(planned)}; run folder {folder}"
    )


def _at_a_time(planned: Search) -> str:
    if planned.ray is not None:
        many = planned.workers or "as many as it has processors"
        return f"{many} at a time on Ray ({planned.ray})"
    evaluator = planned.scoring.evaluator
    lanes = evaluator.lanes if isinstance(evaluator, SideBySide) else 1
    return f"{planned.workers or lanes} at a time"
