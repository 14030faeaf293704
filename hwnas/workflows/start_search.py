"""From a request to a finished search: tables found and checked, the run's folder, the search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.lut.library import Library
from hwnas.runs import run_for
from hwnas.spaces import find_space
from hwnas.workflows.budgets import check_tables, find_tables
from hwnas.workflows.request import require_positive

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.cost import Problem
    from hwnas.progress import Reporter
    from hwnas.workflows.request import Request
    from hwnas.workflows.search import Search


def start_search(
    workspace: Path,
    request: Request,
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
    space = find_space(request.space)
    tables = find_tables(Library(workspace), list(request.limits), request.target, space)
    problem = request.problem(space, tables)
    problem.start()
    check_tables(tables, reporter, force=force)
    require_positive("--workers", workers)
    search = request.search(space, problem, tables, workers, ray)
    _require_a_first_round(problem, request.max_evaluations)
    asked = request.to_json(tables)
    run = run_for(workspace, request.run_name, asked, folder)
    _announce(search, request, run.path, reporter)
    result = search.run(run, workspace / "runs" / "evaluations.sqlite", reporter)
    run.write("request.json", asked)
    return result


def _require_a_first_round(problem: Problem, limit: int | None) -> None:
    """Refuse a limit below the first round, without which no block can be chosen.

    Raises:
        UserError: the limit is below the start network and what can be added to it.
    """
    space, start = problem.space, problem.start()
    networks = (space.add(start, element) for element in space.elements(start))
    count = 1 + len({space.canonical(arch) for arch in networks if problem.feasible(arch)})
    if limit is not None and limit < count:
        raise UserError(
            f"--max-evaluations {limit} does not do: the start network and what can be added to it "
            f"are {count} networks already. Give at least {count}."
        )


def _announce(search: Search, request: Request, folder: Path, reporter: Reporter) -> None:
    budgets = "; ".join(str(budget) for budget in search.problem.budgets)
    limit = search.max_evaluations
    count = f"at most {limit} networks" if limit else "networks until nothing fits"
    reporter.info(f"searching {search.problem.space.name} within {budgets}")
    many = f"{search.workers or 1} at a time"
    if search.ray is not None:
        many = f"{search.workers or 'as many as it has processors'} at a time on Ray ({search.ray})"
    reporter.info(
        f"scoring {count} on {request.dataset} at proxy size, {many}; run folder {folder}"
    )
