"""Can a short training tell S0 from S0 plus one block, and what does it cost?

For each recipe: seconds per evaluation on one thread, the score of S0, and the gain in score
(exp of minus the cross-entropy) of six one-block additions. Every gain is paired: both networks
see the same images in the same order. "noise" is the standard deviation of a gain between seeds,
pooled over the additions, and "t" the mean gain divided by it.

    python benchmarks/candidate_scores.py            recipes around the default one, 3 seeds
    python benchmarks/candidate_scores.py --quick    the default one, 2 seeds, 1.5 minutes
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, replace

import torch

from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.spaces import Arch, find_space
from hwnas.train.recipe import QUICK, Recipe

SPACE = find_space("rcnet-digits")
ADDITIONS = ((1, 1), (1, 5), (7, 5), (13, 5), (18, 5), (25, 5))
"""(position, type): one block more in stages 0, 0, 1, 2, 3, 4."""

RECIPES = (
    QUICK,
    replace(QUICK, name="half the images", images=QUICK.images // 2),
    replace(QUICK, name="twice the images", images=2 * QUICK.images),
    replace(QUICK, name="batch 64", batch_size=64),
    replace(QUICK, name="half the rate", peak_lr=QUICK.peak_lr / 2),
    replace(QUICK, name="twice the rate", peak_lr=QUICK.peak_lr * 2),
    replace(QUICK, name="no average", ema=None),
)


@dataclass(frozen=True)
class Row:
    """What one recipe gave.

    Attributes:
        seconds: CPU seconds per evaluation of S0.
        start: scores of S0, per seed.
        gains: per addition, its gain per seed.
    """

    recipe: Recipe
    seconds: float
    start: list[float]
    gains: list[list[float]]

    @property
    def noise(self) -> float:
        """Standard deviation of a gain between seeds."""
        return statistics.fmean(statistics.variance(gain) for gain in self.gains) ** 0.5

    @property
    def mean_gain(self) -> float:
        """Mean over additions and seeds."""
        return statistics.fmean(map(statistics.fmean, self.gains))

    def __str__(self) -> str:
        gains = " ".join(f"{statistics.fmean(gain):+.3f}" for gain in self.gains)
        return (
            f"{self.recipe.name:<18} {self.recipe.images:>6} {self.seconds:>6.2f}  "
            f"{statistics.fmean(self.start):.3f}  {gains}  {self.noise:.3f}  "
            f"{self.mean_gain / self.noise:5.2f}"
        )


def probe(recipe: Recipe, seeds: int) -> Row:
    """Score S0 and the six additions with each seed."""
    archs = [SPACE.start(), *(SPACE.add(SPACE.start(), element) for element in ADDITIONS)]
    scores = [[_score(recipe, arch, seed) for arch in archs] for seed in range(seeds)]
    began = time.process_time()
    _score(recipe, SPACE.start(), 0)
    seconds = time.process_time() - began
    gains = [[row[index] - row[0] for row in scores] for index in range(1, len(archs))]
    return Row(recipe, seconds, [row[0] for row in scores], gains)


def _score(recipe: Recipe, arch: Arch, seed: int) -> float:
    return TrainEvaluator(Setting(SPACE, "cluttered-digits"), recipe, seed).evaluate(arch).score


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the default recipe alone, 2 seeds")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    names = [SPACE.describe(element) for element in ADDITIONS]
    print("additions:", ", ".join(names))
    print(f"{'recipe':<18} {'images':>6} {'s':>6}  S0     {'gains':<41}  noise      t")
    for recipe in RECIPES[:1] if quick else RECIPES:
        print(probe(recipe, 2 if quick else 3), flush=True)


if __name__ == "__main__":
    main()
