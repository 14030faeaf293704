"""The evaluator that answers from a model of the scores of other networks."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.pooled.features import describe
from hwnas.evaluate.pooled.posterior import Posterior, fit
from hwnas.files import fingerprint

if TYPE_CHECKING:
    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.spaces import Arch, RcnetSpace

VERSION = 1
"""To be raised with any change of features, model or design that changes scores."""


@dataclass(frozen=True)
class PooledEvaluator:
    """Predicts the cross-entropy of any network from those of a pool; trains nothing itself.

    One training tells little of one network, but every block effect rests on all trainings.
    Effects add up on the logarithm of the cross-entropy.

    Attributes:
        space: the proxy geometry.
        trainer: what scored the pool.
        pool: canonical networks with their cross-entropies, at least two.
    """

    space: RcnetSpace
    trainer: Evaluator
    pool: tuple[tuple[Arch, float], ...]

    def identity(self) -> dict[str, Any]:
        """Return what decides the score: who scored the pool, and what came out."""
        return {
            "evaluator": "pooled",
            "version": VERSION,
            "trainer": self.trainer.identity(),
            "pool": fingerprint([[list(arch), value] for arch, value in self.pool]),
        }

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:  # noqa: ARG002
        """Return the expected score, the same for every replicate."""
        began = time.perf_counter()
        # Matrices this small lose far more by threads than they gain.
        with threadpool_limits(1, user_api="blas"):
            means, deviations = posterior_of(self).predict(describe(self.space, [arch]))
        loss = math.exp(float(means[0]))
        score = math.exp(-loss)
        stderr = score * loss * float(deviations[0])
        return Evaluation(score, None, loss, stderr, 0, time.perf_counter() - began)


@lru_cache(maxsize=4)
def posterior_of(evaluator: PooledEvaluator) -> Posterior:
    """Return the model, fitted once per process."""
    archs, losses = zip(*evaluator.pool, strict=True)
    return fit(describe(evaluator.space, archs), np.log(np.array(losses)))
