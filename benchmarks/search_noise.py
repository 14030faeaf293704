"""Strategies with few, noisy scores on the RCNet space: how good is what they choose?

The score is coverage over blocks (monotone, submodular: what greedy is made for) plus noise; the
best three of a search are judged again with a third of the noise, as `hwnas search` judges its
finalists, and the true value of the one that is chosen counts. Budgets are multiples of the start
network's params and MAdds.

    python benchmarks/search_noise.py --out benchmarks/results/search_noise.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from hwnas import __version__, cost
from hwnas.cost import Budget, Problem
from hwnas.device import describe_host
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.search.ledger import Ask, Ledger, Score
from hwnas.search.strategy import Options, drive, find_strategy
from hwnas.spaces import SPACES

ROOM = (1.3, 2.0, 3.0)
NOISE = (0.0, 0.01, 0.08)
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "rcas": ("rcas", {"max_refreshes": 2}),
    "rcas, 2 replicates": ("rcas", {"max_refreshes": 2, "replicates": 2}),
    "surrogate": ("surrogate", {}),
    "surrogate, batch 2": ("surrogate", {"batch": 2}),
    "evolution": ("evolution", {}),
    "local": ("local", {}),
    "random": ("random", {}),
}
FINALISTS = 3


def chosen_value(room: float, noise: float, variant: str, limit: int, seed: int) -> float:
    """Return the true score of what one search chooses."""
    space, oracle = SPACES["rcnet-digits"], FakeEvaluator(seed)
    costs = [cost.params(space), cost.madds(space)]
    budgets = tuple(Budget(each, each.of(space.start()) * room) for each in costs)
    problem = Problem(space, budgets)
    strategy, options = VARIANTS[variant]

    def noisy(arch: tuple[int, ...], replicate: int, share: float = 1.0) -> float:
        error = np.random.default_rng([seed, replicate, *arch]).normal()
        return oracle.evaluate(arch).score + share * noise * float(error)

    def evaluate(ask: Ask) -> dict:
        return {job: Score(noisy(*job), noise) for job in ask.needed}

    ledger = Ledger(problem, limit)
    with threadpool_limits(1):
        asking = find_strategy(strategy)(problem, ledger, Options(seed=seed, **options))
        drive(asking, ledger, evaluate)
    scored = ledger.scored
    finalists = sorted(scored, key=lambda arch: -scored[arch])[:FINALISTS]
    winner = max(finalists, key=lambda arch: noisy(arch, 10**6, 1 / 3))
    return oracle.evaluate(winner).score


def main() -> None:
    """Print the table and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=90, help="the default of hwnas search")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    with multiprocessing.get_context("spawn").Pool() as pool:
        for noise in NOISE:
            for room in ROOM:
                for variant in VARIANTS:
                    run = partial(chosen_value, room, noise, variant, options.evaluations)
                    values = pool.map(run, range(options.seeds), chunksize=1)
                    mean, error = np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5
                    rows.append([noise, room, variant, float(mean), float(error)])
                    print(
                        f"noise {noise:<5} room {room:<4} {variant:<20} {mean:.3f} +- {error:.3f}",
                        flush=True,
                    )
    if options.out:
        result = {
            "hwnas": __version__,
            "machine": describe_host(),
            "evaluations": options.evaluations,
            "seeds": options.seeds,
            "columns": ["noise", "room", "variant", "true_score", "stderr"],
            "rows": rows,
        }
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
