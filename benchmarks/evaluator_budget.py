"""Truth for what a search decides in the end: which of many networks of one budget is best.

32 networks that random additions to S0 lead to within the budgets of `evaluator_searches.py`, until
hardly anything fits any more, are trained long from three seeds on cluttered digits, and scored on
images that no search sees. They were seen when the teachers of `distill` were chosen. S0 and what
the searches of `evaluator_searches.py` found are trained alike, to be compared with chance.
`benchmarks/evaluators.py` judges every evaluator by them.

    python benchmarks/evaluator_budget.py --out FILE.json --minutes 30

Every training is written as soon as it is done; started again with the same file, the script goes
on where it stopped. One thread.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from hwnas import __version__
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.spaces import Arch, find_space
from hwnas.train.recipe import Recipe

if TYPE_CHECKING:
    from hwnas.spaces.rcnet import RcnetSpace

SPACE = find_space("rcnet", input_size="16", classes=10, width=0.25)
NETWORKS = 32
MADDS, PARAMS = 1.4e6, 0.06e6
FULL = 0.9
"""Share of a budget from which on a network counts as one that uses it."""

RECIPE = Recipe("budget truth", 51_200, 64, 0.2, ema=0.99)


def of_one_budget(space: RcnetSpace = SPACE) -> list[Arch]:
    """Return random networks that use at least nine tenths of one of the budgets."""
    rng = np.random.default_rng(20)
    found: dict[Arch, None] = {}
    while len(found) < NETWORKS:
        arch = space.start()
        while True:
            fitting = [
                larger
                for element in space.elements(arch)
                if share_of_budget(larger := space.add(arch, element), space) <= 1
            ]
            if not fitting:
                break
            arch = fitting[int(rng.integers(len(fitting)))]
        if share_of_budget(arch, space) >= FULL:
            found[space.canonical(arch)] = None
    return list(found)


def searched() -> list[Arch]:
    """Return S0 and the winners of searches within the same budget."""
    file = Path(__file__).parent / "results" / "evaluator_searches.json"
    winners = [found["arch"] for found in json.loads(file.read_text())["searches"]]
    return [SPACE.canonical(SPACE.start()), *map(SPACE.parse, winners)]


def share_of_budget(arch: Arch, space: RcnetSpace = SPACE) -> float:
    """Return the larger of the shares that the network uses of the budgets."""
    graph = space.graph(arch)
    return max(graph.madds / MADDS, graph.params / PARAMS)


def train(arch: Arch, seed: int) -> dict:
    """Train one network long."""
    evaluator = TrainEvaluator(Setting(SPACE, "cluttered-digits"), RECIPE, 900 + seed, "final")
    found = evaluator.evaluate(arch)
    return {
        "arch": SPACE.format(arch),
        "seed": seed,
        "accuracy": found.accuracy,
        "cross_entropy": found.cross_entropy,
        "seconds": found.seconds,
    }


def main() -> None:
    """Train seed after seed until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--machine", default="", help="as it is to be named in the results")
    options = parser.parse_args()
    if options.out is None:
        print("skipped: takes long, and is of use only with --out FILE.json")
        return
    torch.set_num_threads(1)
    end = time.monotonic() + 60 * options.minutes
    content = json.loads(options.out.read_text()) if options.out.exists() else {}
    trainings = content.setdefault("trainings", [])
    content |= {"hwnas": __version__, "machine": options.machine, "torch": torch.__version__}
    content |= {"madds": MADDS, "params": PARAMS, "recipe": RECIPE.as_dict()}
    known = {(training["arch"], training["seed"]) for training in trainings}
    archs = [*of_one_budget(), *searched()]
    jobs = [(arch, seed) for seed in range(options.seeds) for arch in archs]
    for arch, seed in jobs:
        if (SPACE.format(arch), seed) not in known and time.monotonic() < end:
            trainings.append(train(arch, seed))
            options.out.write_text(json.dumps(content, indent=1) + "\n")
            print(trainings[-1], flush=True)


if __name__ == "__main__":
    main()
