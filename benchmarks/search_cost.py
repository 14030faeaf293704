"""What a search costs apart from its evaluations, and how many of these laziness saves.

1. Evaluations per second when an evaluation is free: the strategy alone, and a whole search whose
   every score is committed to the store before it is used.
2. Architectures per second whose cost is told in bulk, one latency-like and one exact cost.
3. Evaluations of lazy greedy against plain greedy, all rules together, equal results asserted:
   random set functions, and the RCNet space under the paper's budgets.

    python benchmarks/search_cost.py --out benchmarks/results/search_cost.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import __version__, cost
from hwnas.cost import Budget, Problem
from hwnas.device import describe_host
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.progress import Silent
from hwnas.runs import Run
from hwnas.search.ledger import Ask, Ledger, Score
from hwnas.search.rcas import eager, rcas
from hwnas.search.rules import Rule, make_rules
from hwnas.search.strategy import Options, Strategy, drive
from hwnas.spaces import SPACES
from hwnas.testing import SetSpace, coverage, facility_location, random_problem
from hwnas.workflows.search.engine import Search
from hwnas.workflows.search.evaluators import Scoring

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.spaces import Arch

REPEATS = 5


def paper_problem() -> Problem:
    """Return the paper's CIFAR-100 problem: MobileNetV2's params and MAdds."""
    space = SPACES["rcnet-cifar100"]
    return Problem(space, (Budget(cost.params(space), 2.4e6), Budget(cost.madds(space), 91e6)))


def run(
    strategy: Strategy, within: Problem, rules: tuple[Rule, ...], score: Callable[[Arch], float]
) -> tuple[Ledger, float]:
    """Return the ledger of a search and its seconds without those of scoring."""
    scoring, start = 0.0, time.perf_counter()

    def evaluate(ask: Ask) -> dict:
        nonlocal scoring
        before = time.perf_counter()
        scores = {job: Score(score(job[0])) for job in ask.needed}
        scoring += time.perf_counter() - before
        return scores

    ledger = Ledger(within)
    drive(strategy(within, ledger, Options(rules)), ledger, evaluate)
    return ledger, time.perf_counter() - start - scoring


def strategy_alone(within: Problem, rules: tuple[Rule, ...]) -> float:
    """Return evaluations per second of the strategy; every repeat forgets what was counted."""
    rates = []
    for seed in range(REPEATS):
        oracle = FakeEvaluator(seed)
        ledger, seconds = run(rcas, within, rules, lambda arch: oracle.evaluate(arch).score)  # noqa: B023
        rates.append(ledger.evaluations / seconds)
    return float(np.median(rates))


def whole_search(within: Problem, rules: tuple[Rule, ...]) -> float:
    """Return evaluations per second of a search with its store and its result file."""
    rates = []
    for seed in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            costs = [budget.cost for budget in within.budgets]
            scoring = Scoring(FakeEvaluator(seed))
            search = Search(within, costs, "rcas", Options(rules), scoring)
            start = time.perf_counter()
            result = search.run(Run(Path(folder)), Path(folder) / "e.sqlite", Silent())
            rates.append(result["evaluations"] / (time.perf_counter() - start))
    return float(np.median(rates))


def bulk(within: Problem, count: int = 200_000) -> dict[str, float]:
    """Return architectures per second, in bulk and one by one, for both costs together."""
    rng = np.random.default_rng(0)
    sample = [within.space.sample(rng) for _ in range(2_000)]
    archs = np.array(sample)[rng.integers(len(sample), size=count)]
    costs = [budget.cost for budget in within.budgets]
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = [each.many(archs) for each in costs]
        seconds.append(time.perf_counter() - start)
    for each, values in zip(costs, found, strict=True):
        one_by_one = [each.of(tuple(arch)) for arch in archs[:500].tolist()]
        np.testing.assert_allclose(values[:500], one_by_one, rtol=1e-12)
    start = time.perf_counter()
    for arch in sample:
        for each in costs:
            each.of(arch)
    single = len(sample) / (time.perf_counter() - start)
    return {"bulk": count * len(costs) / float(np.median(seconds)), "one_by_one": single}


def lazy_share(instances: list[tuple[Problem, tuple[Rule, ...], Callable]]) -> dict[str, float]:
    """Return evaluations of lazy and plain greedy over all instances, equal paths asserted."""
    lazily = eagerly = 0
    for within, rules, score in instances:
        lazy, _ = run(rcas, within, rules, score)
        every, _ = run(eager, within, rules, score)
        assert lazy.paths == every.paths
        lazily += lazy.evaluations
        eagerly += every.evaluations
    return {"lazy": lazily, "eager": eagerly, "share": lazily / eagerly}


def set_functions(positions: int, types: int, count: int) -> list:
    """Return random instances: half coverage, half facility location, two knapsacks."""
    rules = (Rule("uc"), Rule("r0", (1.0, 0.0)), Rule("r1", (0.0, 1.0)), Rule("sum", (1.0, 1.0)))
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        space = SetSpace(positions, types)
        within = random_problem(space, rng)
        found.append((within, rules, (coverage, facility_location)[seed % 2](space, rng)))
    return found


def rcnet_functions(within: Problem, rules: tuple[Rule, ...], count: int) -> list:
    """Return coverage over blocks of the RCNet space."""
    oracles = [FakeEvaluator(seed) for seed in range(count)]
    return [(within, rules, lambda arch, o=o: o.evaluate(arch).score) for o in oracles]


def main() -> None:
    """Print the figures and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--instances",
        type=int,
        default=1000,
        help="set functions; a twentieth of them twice as large",
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    within = paper_problem()
    rules = tuple(make_rules(within, ["uc", "apr", "amr"]))
    bulk(within, 1000)  # imports and tables of keys
    result: dict[str, Any] = {
        "hwnas": __version__,
        "machine": describe_host(),
        "evaluations_per_s": {
            "strategy_alone": strategy_alone(within, rules),
            "whole_search": whole_search(within, rules),
        },
        "costs_per_s": bulk(within),
        "evaluations": {
            "10 positions, 5 types": lazy_share(set_functions(10, 5, options.instances)),
            "20 positions, 5 types": lazy_share(set_functions(20, 5, options.instances // 20)),
            "rcnet-cifar100": lazy_share(rcnet_functions(within, rules, 5)),
        },
    }
    for name, rate in result["evaluations_per_s"].items():
        print(f"{name.replace('_', ' '):<16} {rate:>10,.0f} evaluations/s")
    for name, rate in result["costs_per_s"].items():
        print(f"costs {name.replace('_', ' '):<10} {rate:>10,.0f} architectures/s")
    for name, found in result["evaluations"].items():
        print(f"{name:<22} lazy {found['lazy']:>7,} of {found['eager']:>7,}: {found['share']:.1%}")
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
