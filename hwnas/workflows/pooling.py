"""The pool of trainings that the pooled evaluator answers from: which networks, in which rounds.

The first half is spread over all networks within the budgets; the rest, in two rounds, goes where
the model knows least about networks that it believes may be the best. Everything follows from the
scores and the seed, so that a killed search finds its pool again in the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from hwnas.errors import CheckFailed
from hwnas.evaluate.pooled.design import least_certain
from hwnas.evaluate.pooled.evaluator import PooledEvaluator, posterior_of
from hwnas.evaluate.pooled.features import describe
from hwnas.search.draw import grow
from hwnas.seeds import derive
from hwnas.spaces import neighbours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hwnas.cost import Problem
    from hwnas.evaluate.evaluation import Evaluation, Evaluator
    from hwnas.evaluate.pool import Job
    from hwnas.progress import Advance
    from hwnas.spaces import Arch, RcnetSpace
    from hwnas.workflows.scoring import Scorer

ROUNDS = (0.5, 0.75, 1.0)
"""Shares of the pool that are trained when a round is over."""

DRAWN = 1200
"""Networks to choose from, beside neighbours of the best."""

PARENTS = 4
"""Of the best networks, whose neighbours come into question too."""


@dataclass(frozen=True)
class Pooling:
    """How a pool is filled.

    Attributes:
        space: the proxy geometry.
        networks: how many are trained, at least two.
        seed: of the networks that come into question.
    """

    space: RcnetSpace
    networks: int
    seed: int

    def fill(
        self, problem: Problem, trainer: Evaluator, scorer: Scorer, advance: Advance
    ) -> tuple[PooledEvaluator, dict[Job, Evaluation]]:
        """Train the pool; return the evaluator that answers from it, and all trainings.

        Args:
            problem: only networks within its budgets are trained.
            trainer: scores one network.
            scorer: has it done.
            advance: told of every training.

        Raises:
            CheckFailed: fewer than two networks could be scored.
        """
        pool = _Pool(self, problem, trainer)
        for share in ROUNDS:
            wanted = pool.next(max(2, round(share * self.networks)))
            pool.trained |= scorer.score([(arch, 0) for arch in wanted], advance)
        return pool.evaluator, pool.trained


@dataclass
class _Pool:
    pooling: Pooling
    problem: Problem
    trainer: Evaluator
    trained: dict[Job, Evaluation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(derive(self.pooling.seed, "pool"))
        space = self.problem.space
        start = space.canonical(self.problem.start())
        drawn = (grow(self.problem, rng) for _ in range(DRAWN))
        self._candidates = list(dict.fromkeys([start, *drawn]))

    @property
    def evaluator(self) -> PooledEvaluator:
        """Answers from what was trained so far."""
        losses = [
            (arch, evaluation.cross_entropy)
            for (arch, _), evaluation in self.trained.items()
            if evaluation.cross_entropy is not None
        ]
        if len(losses) < 2:
            failures = {e.failed for e in self.trained.values() if e.failed is not None}
            raise CheckFailed(
                f"too few networks could be trained to learn from: {sorted(failures)}."
            )
        pool = tuple((arch, loss) for arch, loss in losses if loss is not None)
        return PooledEvaluator(self.pooling.space, self.trainer, pool)

    def next(self, size: int) -> list[Arch]:
        """Return networks to train, so that `size` are trained in all."""
        count = size - len(self.trained)
        if count <= 0:
            return []
        # Matrices this small lose far more by threads than they gain.
        with threadpool_limits(1, user_api="blas"):
            return self._first(count) if not self.trained else self._promising(count)

    def _first(self, count: int) -> list[Arch]:
        everything = np.ones(len(self._candidates), bool)
        features = describe(self.pooling.space, self._candidates)
        chosen = least_certain(features, count - 1, everything, known=[0])
        return [self._candidates[index] for index in [0, *chosen]]

    def _promising(self, count: int) -> list[Arch]:
        posterior = posterior_of(self.evaluator)
        known = [arch for arch, _ in self.trained]
        means, _ = posterior.predict(describe(self.pooling.space, self._candidates))
        best = [self._candidates[index] for index in np.argsort(means, kind="stable")[:PARENTS]]
        archs = list(dict.fromkeys([*known, *self._candidates, *self._near(best)]))
        features = describe(self.pooling.space, archs)
        means, deviations = posterior.predict(features)
        may_be_best: NDArray[np.bool_] = means - deviations <= means.min()
        relative = np.square(posterior.noise / posterior.spread)
        chosen = least_certain(
            features, count, may_be_best, range(len(known)), posterior.variances, float(relative)
        )
        return [archs[index] for index in chosen]

    def _near(self, best: Sequence[Arch]) -> Iterator[Arch]:
        space = self.problem.space
        return filter(
            self.problem.feasible, chain.from_iterable(neighbours(space, a) for a in best)
        )
