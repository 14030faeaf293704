"""What the search itself costs: evaluations per second when an evaluation is free.

Every score still goes through the store (committed, synchronous) as in a real search, once with
the store and once without. The share of a real search is that time over one real evaluation,
measured in the same run.

    python benchmarks/search_overhead.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from hwnas import cost
from hwnas.cost import Budget, Problem
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.progress import Silent
from hwnas.runs import Run
from hwnas.search.ledger import Ask, Job, Ledger, Score
from hwnas.search.rcas import rcas
from hwnas.search.rules import make_rules
from hwnas.search.strategy import Options, drive
from hwnas.spaces import SPACES, find_space
from hwnas.train.recipe import QUICK
from hwnas.workflows.search import Search


def problem() -> Problem:
    """Return the paper's CIFAR-100 problem: MobileNetV2's params and MAdds."""
    space = SPACES["rcnet-cifar100"]
    return Problem(space, (Budget(cost.params(space), 2.4e6), Budget(cost.madds(space), 91e6)))


def without_store(within: Problem) -> tuple[int, float]:
    """Return evaluations and seconds of the strategy alone; scoring is not counted."""
    oracle, scoring, start = FakeEvaluator(0), 0.0, time.perf_counter()

    def evaluate(ask: Ask) -> dict[Job, Score | None]:
        nonlocal scoring
        before = time.perf_counter()
        scores = {job: Score(oracle.evaluate(job[0]).score) for job in ask.needed}
        scoring += time.perf_counter() - before
        return scores

    ledger = Ledger(within)
    rules = tuple(make_rules(within, ["uc", "apr", "amr"]))
    drive(rcas(within, ledger, Options(rules)), ledger, evaluate)
    return ledger.evaluations, time.perf_counter() - start - scoring


def with_store(within: Problem) -> tuple[int, float]:
    """Return evaluations and seconds of a whole search with its store and result file."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(tuple(make_rules(within, ["uc", "apr", "amr"])))
        costs = [budget.cost for budget in within.budgets]
        search = Search(within, costs, "rcas", options, FakeEvaluator(0), None, None, 0)
        start = time.perf_counter()
        result = search.run(Run(Path(folder)), Path(folder) / "e.sqlite", Silent())
        return result["evaluations"], time.perf_counter() - start


def evaluation_seconds() -> float:
    """Return the seconds of one real evaluation of the start network on one thread."""
    torch.set_num_threads(1)
    space = find_space("rcnet-digits")
    evaluator = TrainEvaluator(Setting(space, "cluttered-digits"), QUICK)
    evaluator.evaluate(space.start(), 1)
    return evaluator.evaluate(space.start(), 2).seconds


def main() -> None:
    """Print the three figures."""
    within = problem()
    real = evaluation_seconds()
    print(f"one real evaluation of the start network: {real:.2f} s on one thread")
    for name, measure in (("strategy alone", without_store), ("with the store", with_store)):
        count, seconds = min((measure(within) for _ in range(3)), key=lambda pair: pair[1])
        print(
            f"{name}: {count} evaluations in {seconds:.2f} s, {count / seconds:,.0f} per second: "
            f"{seconds / count / real:.3%} of a real evaluation"
        )


if __name__ == "__main__":
    main()
