"""From the sum over parts to the time of a network, where the two are not proportional.

A small network stays in the caches from one run to the next, a large one does not, so the same
part costs more in a large network. The curve bends the sum, and only the sum: it is monotone, so
comparing networks, budgets and bounds stay as exact as sums are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SMALLEST_SLOPE, LARGEST_SLOPE = 0.5, 2.0
"""Bounds of d log(time) / d log(sum): within them the curve is monotone and no wild guess."""
SEARCH_FACTOR, BISECTIONS = 1000.0, 50


@dataclass(frozen=True, slots=True)
class Curve:
    """time = sum * exp(tilt * x + bend * x^2) with x = log(sum / center_ms).

    Outside the range of its fit the slope stays what it is at the end.

    Attributes:
        center_ms: where time and sum are equal: a network of typical size.
        low_ms: smallest sum that it was fitted on; below, the slope stays as it is there.
        high_ms: largest sum that it was fitted on.
        tilt: slope at the center, less one.
        bend: half the change of the slope per e-fold.
    """

    center_ms: float
    low_ms: float
    high_ms: float
    tilt: float
    bend: float

    def __post_init__(self) -> None:
        values = (self.center_ms, self.low_ms, self.high_ms, self.tilt, self.bend)
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"a curve must be finite, but got {values}")
        if not 0 < self.low_ms <= self.center_ms <= self.high_ms:
            raise ValueError("0 < low_ms <= center_ms <= high_ms must hold")
        if not all(SMALLEST_SLOPE <= slope <= LARGEST_SLOPE for slope in self._end_slopes):
            raise ValueError(f"slopes must be within the bounds, but got {self._end_slopes}")

    @property
    def _end_slopes(self) -> tuple[float, float]:
        low, high = self._position(self.low_ms), self._position(self.high_ms)
        return 1 + self.tilt + 2 * self.bend * low, 1 + self.tilt + 2 * self.bend * high

    def _position(self, ms: float) -> float:
        return math.log(ms / self.center_ms)

    def time_ms(self, sum_ms: float) -> float:
        """Return the time of a network whose parts add up to `sum_ms`."""
        x = self._position(sum_ms)
        inside = min(max(x, self._position(self.low_ms)), self._position(self.high_ms))
        slope = self.tilt + 2 * self.bend * inside
        return sum_ms * math.exp(self.tilt * inside + self.bend * inside**2 + slope * (x - inside))

    def times_ms(self, sums_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the times of many networks."""
        x = np.log(sums_ms / self.center_ms)
        inside = np.clip(x, self._position(self.low_ms), self._position(self.high_ms))
        slope = self.tilt + 2 * self.bend * inside
        bent = self.tilt * inside + self.bend * inside**2 + slope * (x - inside)
        return np.asarray(sums_ms * np.exp(bent))

    def sums_ms(self, times_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums that the curve takes to these times, by bisection: it is monotone."""
        low, high = times_ms / SEARCH_FACTOR, times_ms * SEARCH_FACTOR
        for _ in range(BISECTIONS):
            middle = np.sqrt(low * high)
            too_long = self.times_ms(middle) > times_ms
            low, high = np.where(too_long, low, middle), np.where(too_long, middle, high)
        return np.asarray(np.sqrt(low * high))

    def scaled(self, factor: float) -> Curve:
        """Return the curve between quantities that are `factor` times as large."""
        return replace(
            self,
            center_ms=factor * self.center_ms,
            low_ms=factor * self.low_ms,
            high_ms=factor * self.high_ms,
        )


def fit_curve(sum_ms: ArrayLike, time_ms: ArrayLike) -> Curve | None:
    """Fit by least squares of log(time / sum); None if that would not be monotone.

    A common factor is not the curve's matter: at the center it leaves sums as they are.
    """
    sums, times = np.asarray(sum_ms, float), np.asarray(time_ms, float)
    center = float(np.exp(np.mean(np.log(sums))))
    x = np.log(sums / center)
    bend, tilt, _ = np.polyfit(x, np.log(times / sums), 2)
    try:
        return Curve(center, float(sums.min()), float(sums.max()), float(tilt), float(bend))
    except ValueError:
        return None
