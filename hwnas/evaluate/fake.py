"""Scores that cost nothing: a set function with known properties, for tests and dry runs."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.evaluate.evaluation import Evaluation
from hwnas.seeds import derive
from hwnas.spaces.blocks import BLOCK_TYPES
from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.spaces import Arch

TOPICS = 48


@dataclass(frozen=True)
class FakeEvaluator:
    """Probabilistic weighted coverage: monotone and submodular in the set of blocks.

    Every (stage, type) covers every topic with its own probability, blocks cover independently,
    and the score is the weight of the topics that are covered on average. The order of blocks
    inside a stage does not matter.

    Attributes:
        seed: which function.
        delay_s: how long an evaluation takes.
    """

    seed: int = 0
    delay_s: float = 0.0

    def identity(self) -> dict[str, Any]:
        """Return the seed: nothing else decides the score."""
        return {"evaluator": "fake", "version": 1, "seed": self.seed}

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:  # noqa: ARG002
        """Return the score, the same for every replicate."""
        if self.delay_s:
            time.sleep(self.delay_s)
        weights, misses = _function(self.seed)
        counts = Counter((index // STAGE_POSITIONS, t) for index, t in enumerate(arch) if t)
        uncovered = np.exp(sum(count * misses[block] for block, count in counts.items()))
        score = float(weights @ (1 - uncovered))
        return Evaluation(score, score, -math.log(score), 0.0, 0, self.delay_s)


@lru_cache(maxsize=64)
def _function(
    seed: int,
) -> tuple[NDArray[np.float64], dict[tuple[int, int], NDArray[np.float64]]]:
    """Return the topics' weights, and per (stage, type) the logs of the odds to miss a topic."""
    rng = np.random.default_rng(derive(seed, "fake"))
    weights = rng.dirichlet(np.ones(TOPICS))
    misses = {
        (stage, block): np.log1p(-0.5 * rng.beta(0.3, 2.0, TOPICS))
        for stage in range(STAGES)
        for block in BLOCK_TYPES
    }
    return weights, misses
