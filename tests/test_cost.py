"""Costs are exact on whole networks; what cannot be met is told before anything is trained."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from tables import DIGITS, table

from hwnas import cost
from hwnas.cost import Budget, Problem
from hwnas.errors import InfeasibleError, TableError, UserError
from hwnas.spaces import SPACES

SPACE = SPACES["rcnet-cifar100"]


def test_costs_are_those_of_the_whole_graph() -> None:
    rng = np.random.default_rng(0)
    exact = {
        "params": cost.params(SPACE),
        "madds": cost.madds(SPACE),
        "peak_bytes": cost.memory(SPACE),
        "weight_bytes": cost.size(SPACE),
    }
    for _ in range(30):
        arch = SPACE.sample(rng)
        graph = SPACE.graph(arch)
        for name, function in exact.items():
            assert function.of(arch) == getattr(graph, name)
            assert function.upper(arch) == function.of(arch)


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
    types = itertools.product((1, 2, 6), (1, 2, 5), (2, 3), (0, 1, 2), (1, 2, 3), (0, 2, 4))
    archs = [SPACE._one_per_stage(t) for t in types]
    archs += list(itertools.islice(SPACE.starts(), 3000))
    found = Problem(SPACE, ()).cheapest(function)
    assert found <= min(function.of(arch) for arch in archs)
    cheapest = min(SPACE.starts(), key=function.of)
    assert found == function.of(cheapest)


def test_an_infeasible_budget_is_told_at_once_with_the_cheapest_value() -> None:
    params = cost.params(SPACE)
    cheapest = Problem(SPACE, ()).cheapest(params)
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
    lowest = Problem(SPACE, ()).cheapest
    both = Budget(params, lowest(params)), Budget(madds, lowest(madds))
    assert Problem(SPACE, both[:1]).start()
    assert Problem(SPACE, both[1:]).start()


def test_budgets_are_met_together_or_not_at_all() -> None:
    params, madds = cost.params(SPACE), cost.madds(SPACE)
    problem = Problem(SPACE, (Budget(params, 5e5), Budget(madds, 25e6)))
    for arch in itertools.islice(SPACE.starts(), 500):
        graph = SPACE.graph(arch)
        assert problem.feasible(arch) == (graph.params <= 5e5 and graph.madds <= 25e6)
        assert problem.uses(arch) == (graph.params / 5e5, graph.madds / 25e6)
    with pytest.raises(ValueError, match="above zero"):
        Budget(params, 0)
