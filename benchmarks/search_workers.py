"""What worker processes gain, and what evaluating ahead of need adds to that.

One search with free scores that take 50 ms each (the process sleeps, so that cores do not matter),
with 1, 2 and 4 workers, with and without jobs for idle workers. All find the same.

    python benchmarks/search_workers.py
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from hwnas import cost
from hwnas.cost import Budget, Problem
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.workers.pool import Pool
from hwnas.progress import Silent
from hwnas.runs import Run
from hwnas.search.rules import make_rules
from hwnas.search.strategy import Options
from hwnas.spaces import SPACES
from hwnas.workflows.search.engine import Search
from hwnas.workflows.search.evaluators import Scoring

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY_S = 0.05
VARIANTS = {
    "one rule, exact": (["apr"], None),
    "three rules, 2 refreshes": (["uc", "apr", "amr"], 2),
}


def search(rules: list[str], refreshes: int | None, workers: int) -> tuple[dict[str, Any], float]:
    """Return the content of search.json, and seconds."""
    space = SPACES["rcnet-cifar100"]
    problem = Problem(space, (Budget(cost.params(space), 1.6e6), Budget(cost.madds(space), 60e6)))
    options = Options(tuple(make_rules(problem, rules)), max_refreshes=refreshes)
    costs = [budget.cost for budget in problem.budgets]
    evaluator = FakeEvaluator(delay_s=DELAY_S)
    wanted = Search(problem, costs, "rcas", options, Scoring(evaluator), None, workers)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = wanted.run(Run(Path(folder)), Path(folder) / "e.sqlite", Silent())
        return found, time.perf_counter() - start


@contextmanager
def nothing_ahead() -> Iterator[None]:
    """Leave idle workers idle."""
    with mock.patch.object(Pool, "parallel", new=False):
        yield


def main() -> None:
    """Print wall times relative to one worker."""
    for name, (rules, refreshes) in VARIANTS.items():
        first, alone = search(rules, refreshes, 1)
        print(f"{name}: {first['evaluations']} evaluations, 1 worker {alone:.1f} s")
        for workers in (2, 4):
            with nothing_ahead():
                _, idle = search(rules, refreshes, workers)
            found, seconds = search(rules, refreshes, workers)
            assert found["networks"] == first["networks"]
            assert found["path"] == first["path"]
            ahead = found["ahead"]
            print(
                f"  {workers} workers: {alone / idle:.2f} times as fast without evaluating ahead, "
                f"{alone / seconds:.2f} times with it ({ahead['evaluated']} ahead, "
                f"{ahead['used']} of them used)"
            )


if __name__ == "__main__":
    main()
