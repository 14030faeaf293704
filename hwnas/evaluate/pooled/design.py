"""Which networks to train, so that a model of all of them knows most about the ones that matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.evaluate.pooled.posterior import LIKELY_NOISE, LIKELY_SHARE, scales_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.evaluate.pooled.features import Features


def least_certain(
    candidates: Features,
    count: int,
    matter: NDArray[np.bool_],
    known: Sequence[int] = (),
    variances: NDArray[np.float64] | None = None,
    noise: float = LIKELY_NOISE,
) -> list[int]:
    """Return candidates that, once trained, leave the least variance in those that matter.

    One after the other, each the best beside those before it (greedy V-optimal design; Seo et al.,
    "Gaussian process regression: active data selection and test point rejection", 2000).

    Args:
        candidates: features of all networks that come into question.
        count: how many to choose, at most all that are not known.
        matter: the candidates whose variance is to be small.
        known: candidates that were trained.
        variances: of the groups of effects, in units of the values' variance; None for those that
            are likely before anything is known.
        noise: variance of one value, in the same unit.
    """
    if variances is None:
        variances = np.full(len(candidates), LIKELY_SHARE)
    scaled = [scale(group) for scale, group in zip(scales_of(candidates), candidates, strict=True)]
    roots = np.sqrt(variances)
    all_features = np.hstack([root * group for root, group in zip(roots, scaled, strict=True)])
    covariance = 1.0 + all_features @ all_features.T
    for index in known:
        covariance = _after(covariance, index, noise)
    chosen: list[int] = []
    taken = set(known)
    while len(chosen) < count and len(taken) < len(covariance):
        drop = (covariance[matter] ** 2).sum(0) / (noise + np.diag(covariance))
        drop[list(taken)] = -1.0
        best = int(np.argmax(drop))
        chosen.append(best)
        taken.add(best)
        covariance = _after(covariance, best, noise)
    return chosen


def _after(covariance: NDArray[np.float64], index: int, noise: float) -> NDArray[np.float64]:
    """Return the covariance after one value was seen."""
    column = covariance[:, index]
    left: NDArray[np.float64] = covariance - np.outer(column, column) / (noise + column[index])
    return left
