"""What every strategy promises, checked on small random problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.search.ledger import Ask, Ledger, Score
from hwnas.search.strategy import Options, Strategy, drive
from hwnas.testing.sets import SetSpace, coverage, random_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.cost import Problem
    from hwnas.spaces import Arch, Job

LIMIT = 60


def check_strategy(strategy: Strategy, seeds: int = 5) -> None:
    """Check a strategy: budgets and limit kept, nothing asked twice, equal runs, failures borne.

    Args:
        strategy: as registered under "hwnas.strategies".
        seeds: how many random problems to try.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        space = SetSpace(6, 3)
        problem, score = random_problem(space, rng), coverage(space, rng)
        asked, ledger = _run(strategy, problem, lambda arch: Score(score(arch)), seed)  # noqa: B023
        _require(bool(asked), "asks for something")
        _require(asked[0] == (problem.start(), 0), "scores the start network first")
        _require(len(asked) == len(set(asked)), "asks for nothing twice")
        _require(len(asked) <= LIMIT, "keeps to the limit")
        again, _ = _run(strategy, problem, lambda arch: Score(score(arch)), seed)  # noqa: B023
        _require(asked == again, "does the same again with the same seed")
        best = ledger.best
        _require(best is not None and problem.feasible(best), "ends within the budgets")
        _run(strategy, problem, _often_failing, seed)


def _often_failing(arch: Arch) -> Score | None:
    """Fail every third network, but not the start."""
    failed = any(arch) and sum(arch) % 3 == 0
    return None if failed else Score(float(np.sin(sum(arch))), 0.1)


def _run(
    strategy: Strategy, problem: Problem, score: Callable[[Arch], Score | None], seed: int
) -> tuple[list[Job], Ledger]:
    asked: list[Job] = []

    def evaluate(ask: Ask) -> dict[Job, Score | None]:
        asked.extend(ask.needed)
        return {job: score(job[0]) for job in ask.needed}

    ledger = Ledger(problem, LIMIT)
    drive(strategy(problem, ledger, Options(seed=seed)), ledger, evaluate)
    return asked, ledger


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(f"a strategy {promise}")
