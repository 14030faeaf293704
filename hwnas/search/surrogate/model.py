"""A Gaussian process over several levels of description, with its uncertainty about itself.

    k(x, y) = (1 - a) exp(-sum_l w_l |x_l - y_l|^2 / 2) + a sum_l <x_l, y_l> / L

Every level is scaled to a mean squared distance of one, so that the same prior suits any space.
Weights, linear share a and noise are drawn from their prior, again around what was likely at the
last step, and the likeliest few predict together, each by its posterior probability.
(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 2 and 5.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hwnas.search.surrogate.features import Features

DRAWS, KEPT, REMEMBERED = 64, 6, 8
STEP = 0.4
"""How far around the likeliest draws of the last step, in standard deviations of the prior."""

PRIOR_NOISE = 0.03
"""Median of the noise variance that scores have beyond what the evaluator says, of 1 in all."""


class _Hyper(NamedTuple):
    weights: NDArray[np.float64]
    linear: float
    noise: float
    variance: float
    chance: float


class _Solved(NamedTuple):
    factor: NDArray[np.float64]
    mean: float
    residual: NDArray[np.float64]


class Model:
    """Fit, condition, predict. All arrays of values are of mean 0 and variance 1."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._likely: NDArray[np.float64] | None = None

    # Fitting --------------------------------------------------------------------------------

    def fit(
        self, features: Features, values: NDArray[np.float64], stderrs: NDArray[np.float64]
    ) -> None:
        """Learn hyperparameters from scored networks, and condition on them."""
        self._centers = [level.mean(0) for level in features]
        self._spreads = [
            max(2 * float(((level - center) ** 2).sum()) / max(len(level) - 1, 1), 1e-9)
            for level, center in zip(features, self._centers, strict=True)
        ]
        distances, products = self._compare(features, features)
        draws = self._draws(len(distances))
        weights = np.exp(draws[:, :-2])
        linear = 1 / (1 + np.exp(1 - 1.5 * draws[:, -2]))
        noise = PRIOR_NOISE * np.exp(1.5 * draws[:, -1]) + 1e-6
        kernel = np.exp(-0.5 * np.tensordot(weights, distances, 1))
        kernel = (1 - linear)[:, None, None] * kernel + linear[:, None, None] * products
        diagonal = np.arange(len(values))
        kernel[:, diagonal, diagonal] += noise[:, None] + stderrs**2
        fitness, variance = _likelihood(kernel, values)
        fitness -= 0.5 * (draws**2).sum(1)
        order = np.argsort(-fitness, kind="stable")
        self._likely = draws[order[:REMEMBERED]]
        kept = order[:KEPT]
        chances = np.exp(fitness[kept] - fitness[kept[0]])
        self._hyper = [
            _Hyper(weights[i], float(linear[i]), float(noise[i]), float(variance[i]), float(chance))
            for i, chance in zip(kept, chances / chances.sum(), strict=True)
        ]
        self.condition(features, values, stderrs)

    def _draws(self, levels: int) -> NDArray[np.float64]:
        """Return standard normal draws, half of them near what was likely before."""
        draws = self._rng.normal(size=(DRAWS, levels + 2))
        if self._likely is None:
            draws[0] = 0
            return draws
        half, count = DRAWS // 2, len(self._likely)
        near = self._likely[self._rng.integers(count, size=half)]
        draws[:half] = near + STEP * draws[:half]
        draws[:count] = self._likely
        return draws

    def condition(
        self, features: Features, values: NDArray[np.float64], stderrs: NDArray[np.float64]
    ) -> None:
        """Take scored networks, with the hyperparameters that were learnt before."""
        self._features = features
        distances, products = self._compare(features, features)
        self._solved = []
        for hyper in self._hyper:
            kernel = _kernel(hyper, distances, products)
            kernel[np.diag_indices(len(values))] += hyper.noise + stderrs**2
            factor = np.asarray(np.linalg.cholesky(kernel), np.float64)
            both = np.stack([values, np.ones(len(values))], 1)
            solved = solve_triangular(factor, both, lower=True, check_finite=False)
            mean = float(solved[:, 0] @ solved[:, 1] / (solved[:, 1] @ solved[:, 1]))
            self._solved.append(_Solved(factor, mean, solved[:, 0] - mean * solved[:, 1]))

    # Predicting -----------------------------------------------------------------------------

    def mean(self, features: Features) -> NDArray[np.float64]:
        """Return the expected values of networks."""
        means = [hyper.chance * mean for hyper, mean, _ in self._predictions(features)]
        return np.asarray(np.sum(means, axis=0))

    def improvement(self, features: Features, best: float) -> NDArray[np.float64]:
        """Return by how much networks are expected to exceed `best` (Jones et al. 1998)."""
        total = np.zeros(len(features[0]))
        for hyper, mean, deviation in self._predictions(features):
            gap = (mean - best) / deviation
            density = np.exp(-0.5 * gap**2) / np.sqrt(2 * np.pi)
            total += hyper.chance * deviation * (gap * ndtr(gap) + density)
        return total

    def _predictions(
        self, features: Features
    ) -> Iterator[tuple[_Hyper, NDArray[np.float64], NDArray[np.float64]]]:
        """Yield each model with its means and standard deviations."""
        distances, products = self._compare(self._features, features)
        own = sum(
            ((level - center) ** 2).sum(1) * 2 / spread
            for level, center, spread in zip(features, self._centers, self._spreads, strict=True)
        ) / len(features)
        for hyper, (factor, mean, residual) in zip(self._hyper, self._solved, strict=True):
            kernel = _kernel(hyper, distances, products)
            solved = solve_triangular(factor, kernel, lower=True, check_finite=False)
            variance = 1 - hyper.linear + hyper.linear * own - (solved**2).sum(0)
            yield (
                hyper,
                mean + residual @ solved,
                np.sqrt(hyper.variance * np.maximum(variance, 1e-9)),
            )

    def _compare(
        self, left: Features, right: Features
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return squared distances per level, (levels, left, right), and mean inner products."""
        levels = list(zip(left, right, self._centers, self._spreads, strict=True))
        distances = np.stack([_squares(x, y) / spread for x, y, _, spread in levels])
        products = sum((x - c) @ (y - c).T * 2 / spread for x, y, c, spread in levels)
        return distances, products / len(levels)


def _squares(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    found = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.asarray(np.maximum(found, 0))


def _kernel(
    hyper: _Hyper, distances: NDArray[np.float64], products: NDArray[np.float64]
) -> NDArray[np.float64]:
    smooth = np.exp(-0.5 * np.tensordot(hyper.weights, distances, 1))
    return np.asarray((1 - hyper.linear) * smooth + hyper.linear * products)


def _likelihood(
    kernel: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log marginal likelihoods, mean and scale integrated out, and the scales."""
    count = len(values)
    factor = np.linalg.cholesky(kernel)
    both = np.broadcast_to(np.stack([values, np.ones(count)], 1), (len(kernel), count, 2))
    solved = np.linalg.solve(factor, both)
    ones = solved[:, :, 1]
    mean = (solved[:, :, 0] * ones).sum(1) / (ones**2).sum(1)
    residual = solved[:, :, 0] - mean[:, None] * ones
    variance = ((residual**2).sum(1) + 1) / (count + 1)
    logs = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(1)
    return -0.5 * (count + 1) * np.log(variance) - logs, variance
