"""Lazy greedy is greedy, budgets are never exceeded, nothing is asked for twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from hwnas import cost
from hwnas.cost import Budget, Problem
from hwnas.errors import InfeasibleError, UserError
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.search.greedy import SMALLEST_MARGINAL
from hwnas.search.ledger import Ask, Ledger, Score
from hwnas.search.rcas import rcas
from hwnas.search.rules import Rule, default_rules, make_rules
from hwnas.search.strategy import Options, Strategy, drive
from hwnas.spaces import SPACES, Arch

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.spaces import Job, Key

SPACE = SPACES["rcnet-cifar100"]
PARAMS, MADDS = cost.params(SPACE), cost.madds(SPACE)


def problem(params: float, madds: float) -> Problem:
    return Problem(SPACE, (Budget(PARAMS, params), Budget(MADDS, madds)))


def run(
    within: Problem,
    rules: list[Rule],
    score: Callable[[Arch], float | None],
    limit: int | None = None,
    max_refreshes: int | None = None,
    strategy: Strategy = rcas,
) -> tuple[Ledger, list[Arch]]:
    """Drive a search; returns its ledger and all networks asked for."""
    asked: list[Arch] = []

    def evaluate(ask: Ask) -> dict[Job, Score | None]:
        asked.extend(arch for arch, _ in ask.needed)
        scores = {job: score(job[0]) for job in ask.needed}
        return {job: None if value is None else Score(value) for job, value in scores.items()}

    ledger = Ledger(within, limit)
    options = Options(tuple(rules), max_refreshes=max_refreshes)
    drive(strategy(within, ledger, options), ledger, evaluate)
    return ledger, asked


def eager(within: Problem, rule: Rule, score: Callable[[Arch], float]) -> tuple[list[Arch], int]:
    """Plain greedy: every feasible block is scored at every step."""
    current, path, seen = within.start(), [within.start()], set()

    def value(arch: Arch) -> float:
        seen.add(SPACE.canonical(arch))
        return score(SPACE.canonical(arch))

    while True:
        before, options = within.uses(current), []
        for element in SPACE.elements(current):
            network = SPACE.add(current, element)
            if within.feasible(network):
                gain = value(network) - value(current)
                after = within.uses(network)
                marginal = max(rule.marginal(before, after), SMALLEST_MARGINAL)
                key = gain / marginal if gain >= 0 else gain * marginal
                options.append((-key, -gain, sum(after), element))
        if not options:
            return path, len(seen)
        current = SPACE.add(current, min(options)[-1])
        path.append(current)


CASES = [(seed, 0.7e6 + 0.2e6 * (seed % 3), 30e6 + 4e6 * (seed % 2)) for seed in range(6)]


@pytest.mark.parametrize(("seed", "params", "madds"), CASES)
@pytest.mark.parametrize("name", ["uc", "apr", "amr", "sum"])
def test_lazy_greedy_is_greedy_with_fewer_evaluations(
    seed: int, params: float, madds: float, name: str
) -> None:
    within, oracle = problem(params, madds), FakeEvaluator(seed)
    (rule,) = make_rules(within, [name])
    path, evaluations = eager(within, rule, lambda arch: oracle.evaluate(arch).score)
    outcome, asked = run(within, [rule], lambda arch: oracle.evaluate(arch).score)
    assert [step.arch for step in outcome.paths[name]] == path
    assert len(path) > 2
    assert len(asked) == outcome.evaluations < evaluations
    assert outcome.audit.violated == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["uc", "apr", "amr", "sum"])
def test_lazy_greedy_is_greedy_where_every_block_harms(seed: int, name: str) -> None:
    worth = np.random.default_rng(seed).integers(-40, 0, (6, 7)) / 64  # exact in floating point

    def score(arch: Arch) -> float:
        return float(sum(worth[place // 6, block] for place, block in enumerate(arch) if block))

    within = problem(0.8e6, 32e6)
    (rule,) = make_rules(within, [name])
    path, _ = eager(within, rule, score)
    outcome, _ = run(within, [rule], score)
    assert [step.arch for step in outcome.paths[name]] == path
    assert len(path) > 2
    assert outcome.audit.violated == 0


def test_a_ratio_rule_divides_by_the_share_of_the_budget_that_a_block_adds() -> None:
    within, start = problem(2e6, 80e6), SPACE.start()
    larger = SPACE.add(start, (7, 3))
    before, after = SPACE.graph(start), SPACE.graph(larger)
    params, madds = (after.params - before.params) / 2e6, (after.madds - before.madds) / 80e6
    for rule, expected in zip(
        make_rules(within, ["uc", "apr", "amr", "sum"]),
        (1.0, params, madds, params + madds),
        strict=True,
    ):
        marginal = rule.marginal(within.uses(start), within.uses(larger))
        assert marginal == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.floats(0.42e6, 1.5e6),
    st.floats(15e6, 60e6),
    st.sampled_from([None, 1, 3]),
)
def test_no_network_exceeds_a_budget_whatever_the_scores(
    seed: int, params: float, madds: float, max_refreshes: int | None
) -> None:
    """Scores at random: not monotone, not submodular, some evaluations fail."""
    within = problem(params, madds)
    try:
        start = SPACE.canonical(within.start())
    except InfeasibleError:
        reject()

    def score(arch: Arch) -> float | None:
        value = float(np.random.default_rng([seed, *arch]).normal())
        return None if value < -1.2 and arch != start else value

    outcome, asked = run(within, default_rules(within), score, 200, max_refreshes)
    steps = [step for path in outcome.paths.values() for step in path]
    for graph in (SPACE.graph(step.arch) for step in steps):
        assert graph.params <= params
        assert graph.madds <= madds
    assert all(map(within.feasible, asked))
    assert asked == [SPACE.canonical(arch) for arch in dict.fromkeys(asked)]
    assert len(asked) == outcome.evaluations <= 200
    assert steps
    for step in steps:
        assert step.score == pytest.approx(score(SPACE.canonical(step.arch)))


def test_the_best_of_all_rules_wins_and_repeats_exactly() -> None:
    within, oracle = problem(1.2e6, 40e6), FakeEvaluator(5)
    rules = make_rules(within, ["uc", "apr", "amr"])
    first, _ = run(within, rules, lambda arch: oracle.evaluate(arch).score)
    again, _ = run(within, rules, lambda arch: oracle.evaluate(arch).score)
    assert first.paths == again.paths
    assert first.scored == again.scored
    assert first.score(first.best) == max(first.scored.values())
    for rule in rules:
        alone, _ = run(within, [rule], lambda arch: oracle.evaluate(arch).score)
        assert alone.paths[rule.name] == first.paths[rule.name]


def test_uniform_and_ratio_rules_can_all_miss_what_their_sum_finds() -> None:
    """Two knapsacks bound no single rule: one block that fills both, or either, looks best.

    Type 1 fills both budgets, types 2 and 3 fill one and cost nothing in the other, and twenty
    blocks of type 4 fit together.
    """
    costs = {"t1": (1, 1), "t2": (1e-3, 1), "t3": (1, 1e-3), "t4": (0.05, 0.05)}
    gains = {1: 1.01, 2: 1.0, 3: 1.0, 4: 1.0}
    fixed = {*SPACE.parts(SPACE.start())}

    def resource(index: int) -> dict[Key, float]:
        return {
            key: 0.0 if key in fixed else costs.get(key.block, (9, 9))[index]
            for key in SPACE.lookup_keys()
        }

    within = Problem(
        SPACE,
        (
            Budget(replace(PARAMS, per_key=resource(0)), 1 + 1e-6),
            Budget(replace(MADDS, per_key=resource(1)), 1 + 1e-6),
        ),
    )
    found = {
        rule.name: run(within, [rule], lambda arch: sum(gains.get(t, 0) for t in arch))[0]
        for rule in make_rules(within, ["uc", "apr", "amr", "sum"])
    }
    ends = {name: pytest.approx(ledger.paths[name][-1].score) for name, ledger in found.items()}
    assert ends == {
        "uc": 1.01,
        "apr": 1.0,
        "amr": 1.0,
        "sum": 20.0,
    }


@pytest.mark.parametrize("limit", [1, 36, 37, 50, 80])
def test_the_limit_on_evaluations_holds(limit: int) -> None:
    within, oracle = problem(2e6, 80e6), FakeEvaluator(1)
    scored = lambda arch: oracle.evaluate(arch).score  # noqa: E731
    outcome, asked = run(within, default_rules(within), scored, limit)
    assert len(asked) == outcome.evaluations <= limit
    assert not outcome.complete
    assert outcome.best is not None


def test_refreshes_bound_the_evaluations_of_a_step() -> None:
    within, oracle = problem(2e6, 80e6), FakeEvaluator(2)
    scored = lambda arch: oracle.evaluate(arch).score  # noqa: E731
    exact, _ = run(within, [Rule("uc")], scored)
    few, asked = run(within, [Rule("uc")], scored, max_refreshes=1)
    assert len(asked) <= 1 + 36 + len(few.paths["uc"])
    assert few.evaluations < exact.evaluations
    assert few.complete


def test_a_start_network_that_cannot_be_scored_ends_the_search() -> None:
    within = problem(2e6, 80e6)
    outcome, asked = run(within, default_rules(within), lambda _arch: None)
    assert len(asked) == 1
    assert not any(outcome.paths.values())


def test_rules_are_named_for_their_budgets() -> None:
    within = problem(2e6, 80e6)
    assert [rule.name for rule in default_rules(within)] == ["uc", "apr", "amr"]
    memory = Problem(SPACE, (Budget(cost.memory(SPACE), 1e7),))
    assert [rule.name for rule in default_rules(memory)] == ["uc"]
    with pytest.raises(UserError, match="unknown rule 'best'"):
        make_rules(within, ["best"])
    with pytest.raises(UserError, match="add --budget-latency"):
        make_rules(within, ["alr"])
