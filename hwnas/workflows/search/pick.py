"""`hwnas pick`: the best network of a finished run within other budgets, without any training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hwnas.errors import InfeasibleError, UserError
from hwnas.runs import find_run
from hwnas.workflows.search.result import JUDGED, told_costs
from hwnas.workflows.search.search import request_of
from hwnas.workflows.shared_options import budgets_of
from hwnas.workflows.winner import SEARCH_FIRST, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.cost import Problem
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.spaces import Arch
    from hwnas.workflows.search.options import PickOptions
    from hwnas.workflows.search.request import Opened


@dataclass(frozen=True, slots=True)
class Scored:
    """A network of a run with its score.

    Attributes:
        arch: canonical.
        score: by the judge or by the candidates' evaluator.
        stderr: its standard error.
        source: which of the two.
    """

    arch: Arch
    score: float
    stderr: float
    source: str


def pick(options: PickOptions, reporter: Reporter) -> dict[str, Any]:
    """Return the best network that a finished run has scored within other budgets.

    Raises:
        UserError: no budget was given, there is no such run, the search has not finished, or a
            file that costs are from has changed since.
        InfeasibleError: no network that was scored keeps within the budgets.
    """
    if not budgets_of(options) and not options.budget:
        raise UserError("give at least one other budget, for instance --budget-latency 150ms.")
    run = find_run(options.workspace, options.run)
    # The search has been forced already, where it had to be.
    request = replace(request_of(run).within(options), workspace=options.workspace, force=True)
    opened = request.open(reporter)
    search: dict[str, Any] = run.read("search.json", UNFINISHED)
    _require_unchanged(run, opened)
    problem = opened.problem
    with run.as_written("search.json"):
        candidates, judged = _scores(problem, search)
    fitting = [arch for arch in candidates if problem.feasible(arch)]
    if not fitting:
        raise _nothing_fits(problem, list(candidates))
    best = best_of(fitting, candidates, judged)
    return {
        "run": str(run.path),
        "space": problem.space.name,
        "arch": problem.space.format(best.arch),
        "score": best.score,
        "score_stderr": best.stderr,
        "score_source": best.source,
        "networks": len(candidates),
        "within_budgets": len(fitting),
        **told_costs(problem, opened.costs, best.arch),
    }


def best_of(
    fitting: Sequence[Arch], candidates: Mapping[Arch, Scored], judged: Mapping[Arch, Scored]
) -> Scored:
    """Return the best of the networks that fit.

    A judge's scores, of longer training and on other images, compare with each other, but not
    with candidates' scores. The judge saw the best candidates (and the start network). So it
    decides where the candidate that comes first was judged; where all that were judged for being
    best are over budget, the candidates' scores decide.
    """
    first = max(fitting, key=lambda arch: candidates[arch].score)
    if first not in judged:
        return candidates[first]
    return max((judged[a] for a in fitting if a in judged), key=lambda scored: scored.score)


def _scores(
    problem: Problem, search: Mapping[str, Any]
) -> tuple[dict[Arch, Scored], dict[Arch, Scored]]:
    """Return the candidates' and the judge's scores."""
    parse = problem.space.parse
    source = "candidate score" if search["finalists"] else search["score_source"]
    candidates = (
        Scored(parse(one["arch"]), one["score"], one["stderr"], source)
        for one in search["networks"]
    )
    judged = (
        Scored(parse(one["arch"]), one["score"], one["score_stderr"], JUDGED)
        for one in search["finalists"]
    )
    return {one.arch: one for one in candidates}, {one.arch: one for one in judged}


def _require_unchanged(run: Run, opened: Opened) -> None:
    """Refuse tables other than those that the search saw."""
    before: dict[str, str] = run.read("request.json", SEARCH_FIRST)["tables"]
    changed = [name for name, was in before.items() if opened.files.get(name, was) != was]
    if changed:
        raise UserError(
            f"the table of {', '.join(changed)} has changed since {run.path} was searched: search "
            "again. What was scored for networks is kept, and not scored again."
        )


def _nothing_fits(problem: Problem, archs: Sequence[Arch]) -> InfeasibleError:
    told = []
    for budget in problem.budgets:
        cheapest = min(map(budget.cost.upper, archs))
        if cheapest > budget.limit:
            told.append(f"{budget}: the cheapest of them needs {budget.cost.format(cheapest)}")
    if not told:
        names = " and ".join(str(budget) for budget in problem.budgets)
        told = [f"{names} together, though each can be met alone"]
    return InfeasibleError(
        f"none of the {len(archs)} networks that this run scored meets {'; nor '.join(told)}. "
        "Raise the budget, or search within it."
    )
