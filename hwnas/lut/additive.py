"""Times of parts from times of whole networks: a Bayesian fit of sums of positive parts.

Network i takes the sum of its parts; part j takes its work at unknown rates, times effects that
it shares with other parts:

    time_i = sum_j counts_ij * part_j        part_j = sum_f work_jf exp(rate_f) * exp(effects_j . u)

Effects of one group are normal around zero with a common standard deviation, so that a part that
few networks contain, or none, is still told by parts like it. The standard deviations, and that
of the error, maximise the marginal likelihood: fixed-point updates of MacKay ("Bayesian
Interpolation", 1992) on the Laplace approximation. Errors are relative and Student-t: a network
that was timed while the device was disturbed counts less (variational scale mixture; Tipping and
Lawrence, "Variational inference for Student-t models", 2005). Nothing is tuned by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.special import digamma, gammaln

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.float64]"

RATE_SD = 2.0
"""Of the logarithm of a rate around the common speed: a factor of 50 is still plausible."""
FIRST_EFFECT_SD, SMALLEST_EFFECT_SD = 0.3, 1e-4
FIRST_ERROR, SMALLEST_ERROR = 0.05, 1e-5
DEGREES = np.array([1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0, 200.0])
"""Degrees of freedom of the error that are tried: from Cauchy to all but normal."""
STEPS, TOLERANCE = 100, 1e-3
LARGEST_LOG = 30.0
"""Logarithms are cut here, so that a wild intermediate step overflows nothing."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What is known of the parts before any time is.

    Attributes:
        work: (parts, rates) amounts of work, none below zero and none zero for a whole part.
        effects: (parts, effects) design of the shared factors.
        groups: name of the group of each effect.
    """

    work: Array
    effects: Array
    groups: tuple[str, ...]

    @classmethod
    def grouped(cls, work: Array, groups: Mapping[str, Array]) -> Structure:
        """Return the structure with the effects of these groups, each (parts, its effects)."""
        names = (name for name, design in groups.items() for _ in range(design.shape[1]))
        return cls(work, np.hstack(list(groups.values())), tuple(names))


@dataclass(frozen=True, slots=True)
class PartTimes:
    """Fitted times of the parts, all above zero.

    Attributes:
        parts_ms: by part.
        log_sd: standard deviation of the logarithm of each.
        effect_sd: fitted standard deviation of each group of effects.
        error: scale of the relative error of one network's time.
        degrees: of freedom of that error; few mean that the device was often disturbed.
        steps: iterations until it settled.
    """

    parts_ms: Array
    log_sd: Array
    effect_sd: dict[str, float]
    error: float
    degrees: float
    steps: int

    @property
    def interval_ms(self) -> tuple[Array, Array]:
        """Lower and upper ends of the 95% interval of each part, all above zero."""
        reach = np.exp(np.minimum(1.96 * self.log_sd, LARGEST_LOG))
        return self.parts_ms / reach, self.parts_ms * reach

    def to_json(self) -> dict[str, Any]:
        """Return how the fit went, without the parts."""
        return {
            "error": self.error,
            "error_degrees": self.degrees,
            "effect_sd": self.effect_sd,
            "steps": self.steps,
        }


def fit_parts(
    structure: Structure,
    counts: Array,
    times_ms: Array,
    known_error: Array | float = 0.0,
    on_step: Callable[[], None] | None = None,
) -> PartTimes:
    """Fit the times of the parts.

    Args:
        structure: of the parts.
        counts: (networks, parts) how often each network contains each part.
        times_ms: (networks,) above zero.
        known_error: relative standard error of each time that is known beforehand, such as that
            of its rounding.
        on_step: called after each iteration, at most `STEPS` times.
    """
    fit = _Fit(structure, counts, times_ms, np.broadcast_to(known_error, times_ms.shape) ** 2)
    for _ in range(STEPS):
        before = fit.scales()
        fit.climb()
        fit.update_scales()
        if on_step is not None:
            on_step()
        if np.abs(np.log(fit.scales() / before)).max() < TOLERANCE:
            break
    fit.climb()
    return fit.result()


class _Fit:
    """The state of the iteration; logarithms of rates and effects stand in one vector."""

    def __init__(
        self, structure: Structure, counts: Array, times_ms: Array, known_variance: Array
    ) -> None:
        self.work, self.effects, self.counts = structure.work, structure.effects, counts
        self.log_times, self.known = np.log(times_ms), known_variance
        self.names = list(dict.fromkeys(structure.groups))
        self.group = np.array([self.names.index(name) for name in structure.groups], int)
        self.rates = self.work.shape[1]
        speed = np.log(np.median(times_ms / (counts @ self.work.sum(axis=1))))
        self.centre = np.zeros(self.rates + self.effects.shape[1])
        self.centre[: self.rates] = speed
        self.position = self.centre.copy()
        self.variance = np.full(len(self.names), FIRST_EFFECT_SD**2)
        self.error_variance = FIRST_ERROR**2
        self.weights: Array = np.ones(len(times_ms))
        self.degrees, self.steps = 4.0, 0
        self.covariance: Array = np.zeros((len(self.centre), len(self.centre)))

    def scales(self) -> Array:
        return np.append(self.variance, self.error_variance)

    def _precision(self) -> Array:
        """Return the prior precision of each entry of the position."""
        return np.append(np.full(self.rates, RATE_SD**-2), 1 / self.variance[self.group])

    def _row_variance(self) -> Array:
        return np.asarray(self.error_variance + self.known)

    def _by_rate(self, position: Array) -> Array:
        """Return (parts, rates): the time of each part by kind of work."""
        factor = np.exp(np.clip(self.effects @ position[self.rates :], -LARGEST_LOG, LARGEST_LOG))
        rates = np.exp(np.clip(position[: self.rates], -LARGEST_LOG, LARGEST_LOG))
        return np.asarray(self.work * rates * factor[:, None])

    def _residuals(self, position: Array) -> Array:
        return np.asarray(
            self.log_times - np.log(self.counts @ self._by_rate(position).sum(axis=1))
        )

    def _loss(self, position: Array) -> float:
        """Return minus twice the logarithm of the posterior, up to a constant."""
        misfit = self.weights * self._residuals(position) ** 2 / self._row_variance()
        return float(misfit.sum() + self._precision() @ (position - self.centre) ** 2)

    def _slopes(self, by_rate: Array) -> Array:
        """Return (parts, positions): the derivative of each part's time."""
        return np.hstack([by_rate, by_rate.sum(axis=1)[:, None] * self.effects])

    def _linear(self) -> tuple[Array, Array]:
        """Return the Jacobian of the networks' log times, and the posterior's precision."""
        by_rate = self._by_rate(self.position)
        predicted = self.counts @ by_rate.sum(axis=1)
        jacobian = (self.counts @ self._slopes(by_rate)) / predicted[:, None]
        weighted = jacobian * (self.weights / self._row_variance())[:, None]
        return jacobian, weighted.T @ jacobian + np.diag(self._precision())

    def climb(self) -> None:
        """Go two damped Gauss-Newton steps towards the most probable position."""
        for _ in range(2):
            jacobian, precision = self._linear()
            pull = self.weights * self._residuals(self.position) / self._row_variance()
            gradient = jacobian.T @ pull - self._precision() * (self.position - self.centre)
            step, loss = np.linalg.solve(precision, gradient), self._loss(self.position)
            length = 1.0
            while length > 1e-3 and not self._loss(self.position + length * step) <= loss:
                length /= 2
            self.position = np.asarray(self.position + length * step, np.float64)

    def update_scales(self) -> None:
        """Move the standard deviations towards the largest marginal likelihood."""
        self.steps += 1
        jacobian, precision = self._linear()
        self.covariance = np.asarray(np.linalg.inv(precision), np.float64)
        self._update_effects()
        uncertain = np.einsum("ij,ij->i", jacobian @ self.covariance, jacobian)
        squares = self._residuals(self.position) ** 2 + uncertain
        self._update_weights(squares)
        variance = self._row_variance()
        ratio = (self.weights * squares / variance**2).sum() / (1 / variance).sum()
        self.error_variance = max(self.error_variance * float(ratio), SMALLEST_ERROR**2)

    def _update_effects(self) -> None:
        effects = self.position[self.rates :]
        doubt = np.diag(self.covariance)[self.rates :]
        for index in range(len(self.names)):
            member = self.group == index
            determined = member.sum() - doubt[member].sum() / self.variance[index]
            found = float((effects[member] ** 2).sum() / max(determined, 1e-3))
            self.variance[index] = max(found, SMALLEST_EFFECT_SD**2)

    def _update_weights(self, squares: Array) -> None:
        relative = squares / self._row_variance()
        self.weights = (self.degrees + 1) / (self.degrees + relative)
        log_weights = digamma((self.degrees + 1) / 2) - np.log((self.degrees + relative) / 2)
        half, count = DEGREES / 2, len(relative)
        score = count * (half * np.log(half) - gammaln(half))
        score += (half - 1) * log_weights.sum() - half * self.weights.sum()
        self.degrees = float(DEGREES[int(np.argmax(score))])

    def result(self) -> PartTimes:
        by_rate = self._by_rate(self.position)
        parts_ms = by_rate.sum(axis=1)
        slopes = self._slopes(by_rate) / parts_ms[:, None]
        variance = np.einsum("ij,ij->i", slopes @ self.covariance, slopes)
        deviations = np.sqrt(self.variance)
        return PartTimes(
            parts_ms=parts_ms,
            log_sd=np.sqrt(np.maximum(variance, 0)),
            effect_sd=dict(zip(self.names, deviations.tolist(), strict=True)),
            error=float(np.sqrt(self.error_variance)),
            degrees=self.degrees,
            steps=self.steps,
        )
