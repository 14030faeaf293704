"""From a request to a finished search: tables found and checked, the run's folder, the search."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.evaluate.evaluation import SideBySide
from hwnas.files import sweep
from hwnas.runs import run_for
from hwnas.search.rcas import GREEDY
from hwnas.workflows.search.network_request import require_positive

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.cost import Problem
    from hwnas.progress import Reporter
    from hwnas.workflows.search.engine import Search
    from hwnas.workflows.search.request import SearchRequest


def start_search(
    workspace: Path,
    request: SearchRequest,
    reporter: Reporter,
    *,
    workers: int | None = None,
    ray: str | None = None,
    folder: Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Run the search that was asked for, or go on with it; return the content of search.json.

    Everything that can be wrong is found before anything is trained or written.

    Args:
        workspace: holds lut/ and runs/.
        request: what was asked.
        reporter: told what happens.
        workers: processes, or None for one per core; they never change the result.
        ray: address of a Ray cluster to evaluate on instead; `workers` are then tasks at a time,
            by default one per processor of the cluster.
        folder: the run's folder, or None for one named after the request.
        force: use a table that failed its check.

    Raises:
        UserError: a table, budget, rule, data set or folder is not right.
        InfeasibleError: no network meets the budgets.
    """
    opened = request.open(workspace, reporter, force=force)
    opened.problem.start()
    search = request.search(opened, require_positive("--workers", workers), reporter)
    if ray is not None:
        search = replace(search, ray=ray, workers=workers or 0)
    search.check()
    if request.strategy in GREEDY:
        _check_first_round(opened.problem, search, reporter)
    asked = request.to_json(opened)
    run = run_for(workspace, request.run_name, asked, folder)
    sweep(workspace / "runs")
    _announce(search, run.path, reporter)
    result = search.run(run, workspace / "runs" / "evaluations.sqlite", reporter)
    run.write("request.json", asked)
    return result


def _check_first_round(problem: Problem, search: Search, reporter: Reporter) -> None:
    """Refuse a limit below the first round, without which no block can be chosen; tell of none.

    Raises:
        UserError: the limit is below the start network and what can be added to it.
    """
    space, start, limit = problem.space, problem.start(), search.max_evaluations
    networks = (space.add(start, element) for element in space.elements(start))
    count = 1 + len({space.canonical(arch) for arch in networks if problem.feasible(arch)})
    if count == 1:
        reporter.warn(
            f"{search.strategy} ends at once, as nothing can be added to the start network: other "
            "strategies look further, for instance --strategy evolution."
        )
    if limit is not None and limit < count:
        raise UserError(
            f"--max-evaluations {limit} does not do: the start network and what can be added to it "
            f"are {count} networks already. Give at least {count}."
        )


def _announce(search: Search, folder: Path, reporter: Reporter) -> None:
    budgets = "; ".join(str(budget) for budget in search.problem.budgets)
    limit = search.max_evaluations
    count = f"at most {limit} networks" if limit else "networks until the strategy ends"
    reporter.info(f"searching {search.problem.space.name} within {budgets}")
    reporter.info(f"scoring {count} {search.made_with}, {_at_a_time(search)}; run folder {folder}")


def _at_a_time(search: Search) -> str:
    if search.ray is not None:
        many = search.workers or "as many as it has processors"
        return f"{many} at a time on Ray ({search.ray})"
    evaluator = search.evaluator
    lanes = evaluator.lanes if isinstance(evaluator, SideBySide) else 1
    return f"{search.workers or lanes} at a time"
