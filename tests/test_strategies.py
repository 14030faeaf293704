"""Strategies on set functions: lazy is greedy, budgets hold, races and bounds do what they say."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas import plugins, units
from hwnas.cost import Budget, Problem
from hwnas.errors import UserError
from hwnas.search.bound import bound_on_optimum
from hwnas.search.ledger import Ask, Ledger, Score
from hwnas.search.racing import Contender, close_rival
from hwnas.search.rcas import eager, paper, rcas
from hwnas.search.rules import Rule
from hwnas.search.strategy import GROUP, Options, Strategy, drive, find_strategy
from hwnas.testing import (
    ElementCost,
    SetSpace,
    check_strategy,
    coverage,
    facility_location,
    random_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.search.ledger import Scores
    from hwnas.spaces import Arch, Job

RULES = (
    Rule("uc"),
    Rule("first", (1.0, 0.0)),
    Rule("second", (0.0, 1.0)),
    Rule("sum", (1.0, 1.0)),
)


def search(
    strategy: Strategy,
    problem: Problem,
    score: Callable[[Arch, int], float | None],
    options: Options,
    limit: int | None = None,
    stderr: float = 0.0,
) -> Ledger:
    ledger = Ledger(problem, limit)

    def evaluate(ask: Ask) -> Scores:
        found = {job: score(*job) for job in ask.needed}
        return {
            job: None if value is None else Score(value, stderr) for job, value in found.items()
        }

    drive(strategy(problem, ledger, options), ledger, evaluate)
    return ledger


@pytest.mark.parametrize("kind", [coverage, facility_location])
def test_lazy_equals_eager_on_a_thousand_submodular_instances(kind: Callable) -> None:
    """Partition matroid and two knapsacks; 500 instances of each kind, four rules together."""
    lazily = eagerly = 0
    for seed in range(500):
        rng = np.random.default_rng(seed)
        space = SetSpace(10, 5)
        problem, function = random_problem(space, rng), functools.cache(kind(space, rng))
        lazy, every = (
            search(strategy, problem, lambda arch, _: function(arch), Options(RULES))  # noqa: B023
            for strategy in (rcas, eager)
        )
        assert lazy.paths == every.paths
        assert all(len(path) > 1 for path in lazy.paths.values())
        assert lazy.audit.violated == 0
        lazily += lazy.evaluations
        eagerly += every.evaluations
    assert lazily <= 0.35 * eagerly


@dataclass(frozen=True, kw_only=True)
class UnrulyCost(ElementCost):
    """A cost that jumps up or down with every change."""

    seed: int

    def of(self, arch: Arch) -> float:
        return super().of(arch) * (0.3 + hash((self.seed, *arch)) % 997 / 500)


@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.booleans())
def test_no_network_is_over_budget_whatever_scores_and_costs(
    seed: int, monotone_costs: bool, failing: bool
) -> None:
    """Five strategies each, so 10,000 searches; scores are noise, costs may fall with a block."""
    rng = np.random.default_rng(seed)
    space = SetSpace(4, 2)
    problem = random_problem(space, rng)
    if not monotone_costs:
        unruly = [
            UnrulyCost(
                name=budget.cost.name,
                dimension=units.plain("cost"),
                space=space,
                values=budget.cost.values,
                seed=number,
            )
            for number, budget in enumerate(problem.budgets)
        ]
        problem = Problem(space, tuple(Budget(cost, 1.5) for cost in unruly))

    def score(arch: Arch, replicate: int) -> float | None:
        value = hash((seed, replicate, *arch)) % 1009 / 1009 - 0.5
        return None if failing and value < -0.2 and any(arch) else value

    asked: list[Arch] = []
    for strategy in (rcas, eager, paper, *map(find_strategy, ("evolution", "local"))):
        options = Options(RULES if strategy in (rcas, eager, paper) else (), seed % 7, None, 2)
        ledger = search(strategy, problem, score, options, 30, stderr=0.2)
        assert ledger.evaluations <= 30
        asked += [*ledger.scored, *(step.arch for path in ledger.paths.values() for step in path)]
    for arch in asked:
        for budget in problem.budgets:
            assert budget.cost.of(arch) <= budget.limit


@pytest.mark.parametrize("name", plugins.names(GROUP))
def test_every_strategy_keeps_its_promises(name: str) -> None:
    check_strategy(find_strategy(name))


def test_a_strategy_that_breaks_a_promise_is_caught() -> None:
    def greedy_for_more(problem: Problem, ledger: Ledger, options: Options):
        yield from ledger.ask([problem.start()])
        yield from ledger.ask(problem.space.networks())

    with pytest.raises(ValueError, match="over budget"):
        check_strategy(greedy_for_more)

    def careless(problem: Problem, ledger: Ledger, options: Options):
        yield Ask(((problem.start(), 0),))
        yield Ask(((problem.start(), 0),))

    with pytest.raises(AssertionError, match="nothing twice"):
        check_strategy(careless)


def test_the_paper_stops_where_the_first_block_does_not_fit() -> None:
    shorter = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        space = SetSpace(8, 3)
        problem, function = random_problem(space, rng), coverage(space, rng)
        ours, theirs = (
            search(strategy, problem, lambda arch, _: function(arch), Options(RULES))  # noqa: B023
            for strategy in (rcas, paper)
        )
        for rule in RULES:
            path, stopped = ours.paths[rule.name], theirs.paths[rule.name]
            assert stopped == path[: len(stopped)]
            shorter += len(stopped) < len(path)
    assert shorter > 40


def test_exhaustive_finds_the_optimum_and_the_bound_is_above_it() -> None:
    tight = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        space = SetSpace(5, 3)
        problem = random_problem(space, rng)
        function = (coverage if seed % 2 else facility_location)(space, rng)
        score = lambda arch, _: function(arch)  # noqa: B023, E731
        optimum = max(map(function, filter(problem.feasible, space.networks())))
        every = search(find_strategy("exhaustive"), problem, score, Options())
        assert every.score(every.best) == optimum
        lazy = search(rcas, problem, score, Options(RULES))
        bound = bound_on_optimum(problem, lazy)
        assert bound >= optimum - 1e-9
        tight.append(optimum / bound)
    assert np.mean(tight) > 0.6


def test_exhaustive_refuses_a_space_that_is_too_large() -> None:
    space = SetSpace(30, 5)
    problem = random_problem(space, np.random.default_rng(0))
    with pytest.raises(UserError, match="exhaustive"):
        search(find_strategy("exhaustive"), problem, lambda *_: 0.0, Options())


def test_without_a_first_round_there_is_no_bound() -> None:
    space = SetSpace(5, 3)
    problem = random_problem(space, np.random.default_rng(0))
    ledger = search(find_strategy("random"), problem, lambda *_: 1.0, Options(), 5)
    assert bound_on_optimum(problem, ledger) is None


def _one_of_two() -> tuple[Problem, Arch]:
    """Two positions, one type each, and a budget for one block."""
    space = SetSpace(2, 1)
    values = np.array([[0.0, 1.0], [0.0, 1.0]])
    cost = ElementCost(name="r0", dimension=units.plain("cost"), space=space, values=values)
    return Problem(space, (Budget(cost, 1.0),)), space.start()


def test_a_race_is_run_only_where_one_choice_rules_the_other_out() -> None:
    problem, start = _one_of_two()
    roomy = Problem(problem.space, (Budget(problem.budgets[0].cost, 2.0),))
    top = Contender((1, 0), (0, 1), 1.0, 0.1, open=True)
    near, far = (Contender((0, 1), (1, 1), value, 0.1, open=True) for value in (0.9, 0.5))
    assert close_rival(problem, start, top, [far, near]) == near
    assert close_rival(problem, start, top, [far]) is None
    assert close_rival(roomy, start, top, [near]) is None
    spent = [contender._replace(open=False) for contender in (top, near)]
    assert close_rival(problem, start, spent[0], [spent[1]]) is None
    exact = [contender._replace(stderr=0.0) for contender in (top, near)]
    assert close_rival(problem, start, exact[0], [exact[1]]) is None


def test_races_choose_the_better_block_more_often() -> None:
    """The second block is better by one standard deviation of the noise."""
    problem, _ = _one_of_two()

    def noisy(seed: int) -> Callable[[Arch, int], float]:
        def score(arch: Arch, replicate: int) -> float:
            noise = np.random.default_rng([seed, *arch, replicate]).normal()
            return {(0, 0): 0.0, (1, 0): 5.0, (0, 1): 6.0}[arch] + noise * any(arch)

        return score

    right, raced = {}, 0
    for replicates in (1, 4):
        found = [
            search(rcas, problem, noisy(seed), Options((Rule("uc"),), 0, None, replicates), None, 1)
            for seed in range(400)
        ]
        right[replicates] = sum(ledger.paths["uc"][-1].arch == (0, 1) for ledger in found)
        raced = sum(ledger.audit.raced > 0 for ledger in found)
    assert right[1] == pytest.approx(400 * 0.76, abs=30)  # the normal law at 1 / sqrt(2)
    assert right[4] > right[1] + 25
    assert 200 < raced < 400


def test_noise_is_pooled_over_networks_with_replicates() -> None:
    problem, _ = _one_of_two()
    ledger = Ledger(problem)
    rng = np.random.default_rng(0)
    jobs: list[Job] = [(arch, r) for arch in ((0, 0), (1, 0), (0, 1)) for r in range(200)]
    for job in jobs:
        ledger.record({job: Score(float(rng.normal(job[0][0], 0.5)))})
    assert ledger.stderr((1, 0)) == pytest.approx(0.5 / math.sqrt(200), rel=0.1)
    assert ledger.score((1, 0)) == pytest.approx(1.0, abs=0.15)
    assert ledger.evaluations == 600


def test_idle_workers_are_told_of_what_may_be_asked_next() -> None:
    space, rng = SetSpace(10, 4), np.random.default_rng(3)
    problem, function = random_problem(space, rng), coverage(space, rng)
    ledger, guessed, needed = Ledger(problem), set(), []

    def evaluate(ask: Ask) -> Scores:
        ahead = set(ask.ahead)  # can be read once
        assert not ahead & set(ask.needed)
        assert all(ledger.feasible(arch) and not ledger.knows(arch) for arch, _ in ahead)
        needed.extend(ask.needed)
        guessed.update(ahead)
        return {job: Score(function(job[0])) for job in ask.needed}

    drive(rcas(problem, ledger, Options((Rule("uc"),))), ledger, evaluate)
    later = needed[1 + 40 :]
    assert sum(job in guessed for job in later) > 0.5 * len(later)
