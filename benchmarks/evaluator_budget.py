"""Truth for what a search decides in the end: which of many networks of one budget is best.

32 networks that random additions to S0 lead to within the budgets of `evaluator_searches.py`, until
hardly anything fits any more, are trained long from three seeds on cluttered digits, and scored on
images that no search sees. They were seen when `distill` was made. 20 of a smaller budget were not:
nothing was chosen by them. S0 and what the searches of `evaluator_searches.py` found are trained
alike, to be compared with chance. `benchmarks/evaluators.py` judges every evaluator by them.

    python benchmarks/evaluator_budget.py --out FILE.json --minutes 30

Every training is written as soon as it is done; started again with the same file, the script goes
on where it stopped. One thread.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from resumed import Results, parser_of, train

from hwnas.spaces import Arch, find_space
from hwnas.train.recipe import Recipe

if TYPE_CHECKING:
    from hwnas.spaces.rcnet import RcnetSpace

SPACE = find_space("rcnet", input_size="16", classes=10, width=0.25)
FULL = 0.9
"""Share of a budget from which on a network counts as one that uses it."""


@dataclass(frozen=True)
class Sample:
    """Random networks of one budget.

    Attributes:
        madds: all that they may have.
        params: all that they may have.
        seed: of the draw.
        count: how many.
    """

    madds: float
    params: float
    seed: int
    count: int

    def share(self, arch: Arch, space: RcnetSpace = SPACE) -> float:
        """Return the larger of the shares that the network uses of the budgets."""
        graph = space.graph(arch)
        return max(graph.madds / self.madds, graph.params / self.params)

    def networks(self, space: RcnetSpace = SPACE) -> list[Arch]:
        """Return networks that use at least nine tenths of one of the budgets."""
        rng = np.random.default_rng(self.seed)
        found: dict[Arch, None] = {}
        while len(found) < self.count:
            arch = space.start()
            while True:
                larger = [space.add(arch, element) for element in space.elements(arch)]
                fitting = [one for one in larger if self.share(one, space) <= 1]
                if not fitting:
                    break
                arch = fitting[int(rng.integers(len(fitting)))]
            if self.share(arch, space) >= FULL:
                found[space.canonical(arch)] = None
        return list(found)


SEEN = Sample(1.4e6, 0.06e6, 20, 32)
UNSEEN = Sample(1.1e6, 0.05e6, 21, 20)

FIRST_SEED = 900
RECIPE = Recipe("budget truth", 51_200, 64, 0.2, ema=0.99)


def searched() -> list[Arch]:
    """Return S0 and the winners of searches within the same budget."""
    file = Path(__file__).parent / "results" / "evaluator_searches.json"
    winners = [found["arch"] for found in json.loads(file.read_text())["searches"]]
    return [SPACE.canonical(SPACE.start()), *map(SPACE.parse, winners)]


def main() -> None:
    """Train seed after seed until the time is over."""
    parser = parser_of(__doc__, 30.0)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    samples = {"seen": asdict(SEEN), "unseen": asdict(UNSEEN)}
    results = Results.opened(options, samples=samples, recipe=asdict(RECIPE))
    if results is None:
        return
    torch.set_num_threads(1)
    known = {(training["arch"], training["seed"]) for training in results.of("trainings")}
    networks = [*SEEN.networks(), *searched(), *UNSEEN.networks()]
    archs = [SPACE.format(arch) for arch in networks]
    for arch, seed in ((arch, seed) for seed in range(options.seeds) for arch in archs):
        if (arch, seed) not in known and results.has_time:
            found = train(SPACE, arch, RECIPE, FIRST_SEED + seed)
            results.add("trainings", {"arch": arch, "seed": seed, **found})


if __name__ == "__main__":
    main()
