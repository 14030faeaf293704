"""Costs are exact on whole networks; what cannot be met is told before anything is trained."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from operations import OPERATIONS
from tables import DIGITS, table

from hwnas import cost
from hwnas.cost import Budget, Problem
from hwnas.errors import InfeasibleError, TableError, UserError
from hwnas.spaces import SPACES

if TYPE_CHECKING:
    from hwnas.spaces import Key

SPACE = SPACES["rcnet-cifar100"]


KEYS = SPACE.lookup_keys()


@lru_cache
def every_start() -> list[tuple[Key, ...]]:
    """The parts of every network of at most one block per stage."""
    return [SPACE.parts(arch) for arch in SPACE.starts()]


def test_costs_are_those_of_the_whole_graph() -> None:
    rng = np.random.default_rng(0)
    exact = {
        "params": cost.params(SPACE),
        "madds": cost.madds(SPACE),
        "peak_bytes": cost.memory(SPACE),
    }
    size = cost.size(SPACE)
    for _ in range(30):
        arch = SPACE.sample(rng)
        graph = SPACE.graph(arch)
        for name, function in exact.items():
            assert function.of(arch) == getattr(graph, name)
            assert function.upper(arch) == function.of(arch)
        assert size.of(arch) == cost.file_bytes(graph, "onnx") > graph.weight_bytes


@pytest.mark.parametrize("operation", ["slice", "concat", "gate", "hard swish", "linear relu"])
def test_the_size_of_what_was_never_measured_is_no_guess(operation: str) -> None:
    with pytest.raises(UserError, match="no bound is known"):
        cost.file_bytes(OPERATIONS[operation], "onnx")


def test_latency_is_the_sum_of_rows_and_its_bound_has_the_margin() -> None:
    digits = table(error=0.03)
    bounded, point = cost.latency(digits, 0.95), cost.latency(digits, None)
    arch = DIGITS.sample(np.random.default_rng(1))
    total = sum(digits.rows[key].latency_ms for key in DIGITS.parts(arch))
    assert point.of(arch) == point.upper(arch) == pytest.approx(total)
    assert bounded.upper(arch) == pytest.approx(total * (1 + digits.margin(0.95)))
    assert digits.margin(0.95) > 0.01
    with pytest.raises(TableError, match="confidence"):
        cost.latency(digits, 0.999)


def test_energy_that_is_unknown_is_no_zero() -> None:
    with pytest.raises(UserError, match="energy on onnx-cpu is unknown"):
        cost.energy(table())
    known = cost.energy(table(watts=2.0))
    assert known.of(DIGITS.start()) == pytest.approx(2 * table().latency_ms(DIGITS.start()))
    assert known.label == "estimated"


@pytest.mark.parametrize("make", [cost.params, cost.madds, cost.memory, cost.size])
def test_the_cheapest_network_is_that_of_brute_force(make) -> None:
    function = make(SPACE)
    parts = every_start()
    assert len(parts) == 6**4 * 7**2
    assert function.cheapest() == min(
        function.total([function.per_key[key] for key in keys]) for keys in parts
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(1, 6))
def test_a_block_at_the_end_of_a_stage_makes_no_cost_smaller(
    seed: int, stage: int, block: int
) -> None:
    """What `cheapest` rests on: of each stage, one block or none is enough to look at."""
    arch = SPACE.sample(np.random.default_rng(seed))
    free = [place for place in range(6 * stage, 6 * stage + 6) if not arch[place]]
    assume(free)
    graph, larger = SPACE.graph(arch), SPACE.graph(SPACE.add(arch, (free[0], block)))
    assert larger.params > graph.params
    assert larger.madds > graph.madds
    assert larger.weight_bytes > graph.weight_bytes
    assert larger.peak_bytes >= graph.peak_bytes


def test_an_infeasible_budget_is_told_at_once_with_the_cheapest_value() -> None:
    params = cost.params(SPACE)
    cheapest = params.cheapest()
    start = time.perf_counter()
    with pytest.raises(InfeasibleError, match="the cheapest one needs 383") as error:
        Problem(SPACE, (Budget(params, cheapest - 1),)).start()
    assert time.perf_counter() - start < 1
    assert "params" in str(error.value)
    assert Problem(SPACE, (Budget(params, cheapest),)).start()


def test_a_start_network_is_found_wherever_there_is_one() -> None:
    params, madds = cost.params(SPACE), cost.madds(SPACE)
    assert Problem(SPACE, (Budget(params, 2e6),)).start() == SPACE.start()
    tight = Problem(SPACE, (Budget(params, 4.2e5),))
    start = tight.start()
    assert start != SPACE.start()
    assert tight.feasible(start)
    assert sum(a != b for a, b in zip(start, SPACE.start(), strict=True)) == 1
    both = Budget(params, params.cheapest()), Budget(madds, madds.cheapest())
    assert Problem(SPACE, both[:1]).start()
    assert Problem(SPACE, both[1:]).start()


def test_budgets_that_can_only_be_met_apart_are_told_so() -> None:
    params = cost.params(SPACE)
    dear = {
        name: replace(params, name=name, per_key={k: 1 + 9 * (k.block == block) for k in KEYS})
        for name, block in (("params", "t1"), ("madds", "t2"))
    }
    others = {k: 1 + 9 * (k.block not in {"t1", "t2", "stem", "head"}) for k in KEYS}
    budgets = [Budget(c, 8.0) for c in (*dear.values(), replace(params, per_key=others))]
    for chosen in itertools.combinations(budgets, 2):
        assert Problem(SPACE, chosen).feasible(Problem(SPACE, chosen).start())
    with pytest.raises(InfeasibleError, match="though each can be met alone"):
        Problem(SPACE, tuple(budgets)).start()


def test_budgets_are_met_together_or_not_at_all() -> None:
    params, madds = cost.params(SPACE), cost.madds(SPACE)
    problem = Problem(SPACE, (Budget(params, 5e5), Budget(madds, 25e6)))
    for arch in itertools.islice(SPACE.starts(), 500):
        graph = SPACE.graph(arch)
        assert problem.feasible(arch) == (graph.params <= 5e5 and graph.madds <= 25e6)
        assert problem.uses(arch) == (graph.params / 5e5, graph.madds / 25e6)
    with pytest.raises(ValueError, match="above zero"):
        Budget(params, 0)
