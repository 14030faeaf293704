"""Bayesian linear regression on groups of effects, with the size of each group's effects learnt.

    value = mean + sum over groups of <features, effects> + noise

The effects of a group are drawn around zero with one variance; the variances and the noise have
wide priors themselves and take their likeliest values (type II maximum likelihood with a prior;
Bishop, Pattern Recognition and Machine Learning, 2006, section 3.5). With few values the groups
that explain most with least survive, such as the size of a network; with more values the others
come in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.evaluate.pooled.features import Features

LIKELY_SHARE, LIKELY_NOISE, SPREAD = 0.1, 0.2, 1.5
"""Of the variance of the values, what a group explains and what is noise; and how far off that may
be, a standard deviation of the natural logarithm."""

SMALLEST = 1e-6


class Scale(NamedTuple):
    """Shift and factor of one group of features: zero mean, mean squared length 1."""

    center: NDArray[np.float64]
    length: float

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return features on this scale."""
        return (features - self.center) / self.length


def scales_of(features: Features) -> list[Scale]:
    """Return the scale on which each group has mean zero and mean squared length 1."""
    found = []
    for group in features:
        center = group.mean(0)
        length = float(np.sqrt(((group - center) ** 2).sum(1).mean()))
        found.append(Scale(center, length or 1.0))
    return found


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of the values of all networks after some were seen.

    Attributes:
        scales: of the groups.
        variances: per group, in units of the values' variance.
        noise: standard deviation of one value, in the values' unit.
        scaled: features of what was seen, on the scales.
        weights: how much each value seen counts for a prediction.
        factor: Cholesky factor of the covariance of what was seen.
        mean: of the values.
        spread: standard deviation of the values.
    """

    scales: list[Scale]
    variances: NDArray[np.float64]
    noise: float
    scaled: Features
    weights: NDArray[np.float64]
    factor: tuple[NDArray[np.float64], bool]
    mean: float
    spread: float

    def predict(self, features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation of the true values of networks."""
        scaled = [scale(group) for scale, group in zip(self.scales, features, strict=True)]
        cross = 1.0 + _covariance(self.variances, scaled, self.scaled)
        own = 1.0 + sum(
            variance * (group**2).sum(1)
            for variance, group in zip(self.variances, scaled, strict=True)
        )
        left = own - (cross * cho_solve(self.factor, cross.T).T).sum(1)
        mean = self.mean + self.spread * (cross @ self.weights)
        return mean, self.spread * np.sqrt(np.maximum(left, 0.0))


def fit(features: Features, values: NDArray[np.float64]) -> Posterior:
    """Learn the effects from at least two values.

    Args:
        features: one matrix per group, a row per value.
        values: on a scale where effects add up.
    """
    scales = scales_of(features)
    scaled = [scale(group) for scale, group in zip(scales, features, strict=True)]
    mean, spread = float(values.mean()), float(values.std()) or 1.0
    standard = (values - mean) / spread
    kernels = np.stack([group @ group.T for group in scaled])
    logs = _likeliest(kernels, standard)
    variances, noise = np.exp(logs[:-1]), float(np.exp(logs[-1]))
    factor = cho_factor(_seen(kernels, variances, noise), lower=True)
    weights = cho_solve(factor, standard)
    own = spread * np.sqrt(noise)
    return Posterior(scales, variances, own, scaled, weights, factor, mean, spread)


def _likeliest(kernels: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms of the likeliest variances, that of the noise last."""
    prior = np.log(np.array([*(LIKELY_SHARE for _ in kernels), LIKELY_NOISE]))

    def unlikely(logs: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logs = np.clip(logs, prior - 12, prior + 12)
        variances, noise = np.exp(logs[:-1]), float(np.exp(logs[-1]))
        factor = cho_factor(_seen(kernels, variances, noise), lower=True)
        weights = cho_solve(factor, values)
        inverse = cho_solve(factor, np.eye(len(values)))
        gap = (logs - prior) / SPREAD
        loss = 0.5 * values @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * gap @ gap
        pull = np.outer(weights, weights) - inverse
        slopes = np.array([*(0.5 * (pull * k).sum() for k in kernels), 0.5 * np.trace(pull)])
        return float(loss), -slopes * np.exp(logs) + gap / SPREAD

    found = minimize(unlikely, prior, jac=True, method="L-BFGS-B")
    return np.asarray(np.clip(found.x, prior - 12, prior + 12))


def _seen(
    kernels: NDArray[np.float64], variances: NDArray[np.float64], noise: float
) -> NDArray[np.float64]:
    """Return the covariance of the values; the mean's own variance is that of the values."""
    covariance = 1.0 + np.tensordot(variances, kernels, 1)
    covariance[np.diag_indices(len(covariance))] += noise + SMALLEST
    return np.asarray(covariance)


def _covariance(
    variances: NDArray[np.float64], left: Features, right: Features
) -> NDArray[np.float64]:
    return np.asarray(
        sum(v * (x @ y.T) for v, x, y in zip(variances, left, right, strict=True)), np.float64
    )
