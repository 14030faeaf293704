"""Correct part timings by whole networks, so that the table sums to what a network takes.

Parts timed alone miss what happens between them: fused operations, layouts, warm caches, the cost
of a call. A few dozen whole networks tell the difference. Three steps, all on relative residuals:
an affine map (one scale, one offset per part); ridge regression of a relative change per part,
shrunk towards zero, with effects shared by block name and by resolution so that few networks
inform many parts; and, where cross-validation says that it helps, a curve for networks that are
much smaller or larger than the typical one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hwnas.lut.curve import Curve, fit_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.spaces import Key

PENALTIES = np.logspace(-5, 1, 25)
FOLDS = 10
CURVE_PASSES = 3
"""How often curve and parts are fitted in turn."""
SMALLEST_SHARE = 0.05
"""A corrected entry keeps at least this share of its own timing: latencies stay positive."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Corrected times of the parts, and what was done to get them.

    Attributes:
        affine_ms: times after the affine step, by key.
        corrected_ms: final times, by key.
        curve: from the sum of final times to a network's time; None: they are equal.
        scale: factor of the affine step.
        offset_ms: offset of the affine step, per part.
        penalty: chosen ridge penalty.
        networks: whole networks used.
        cross_validated_mape: error on networks left out of the fit, ten folds.
    """

    affine_ms: NDArray[np.float64]
    corrected_ms: NDArray[np.float64]
    curve: Curve | None
    scale: float
    offset_ms: float
    penalty: float
    networks: int
    cross_validated_mape: float

    def predict_ms(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the times of networks, given how often each contains each key."""
        sums = counts @ self.corrected_ms
        return sums if self.curve is None else self.curve.times_ms(sums)


def count_matrix(keys: Sequence[Key], networks: Sequence[Sequence[Key]]) -> NDArray[np.float64]:
    """Return how often each network (row) contains each key (column)."""
    column = {key: index for index, key in enumerate(keys)}
    counts = np.zeros((len(networks), len(keys)))
    for row, parts in enumerate(networks):
        for key in parts:
            counts[row, column[key]] += 1
    return counts


def correct(
    keys: Sequence[Key],
    raw_ms: NDArray[np.float64],
    networks: Sequence[Sequence[Key]],
    measured_ms: NDArray[np.float64],
) -> Correction:
    """Fit the correction.

    Args:
        keys: the table's keys.
        raw_ms: time of each key alone.
        networks: keys of each whole network.
        measured_ms: time of each whole network.
    """
    known = _Known(
        count_matrix(keys, networks), np.asarray(measured_ms), raw_ms, _shared_effects(keys)
    )
    straight, curved = known.fit(), known.fit(curved=True)
    errors = [known.left_out_errors(fit) for fit in (straight, curved)]
    gain = errors[0] - errors[1]
    helps = gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
    chosen, error = (curved, errors[1]) if helps else (straight, errors[0])
    return Correction(
        affine_ms=straight.affine_ms,
        corrected_ms=chosen.corrected_ms,
        curve=chosen.curve,
        scale=straight.scale,
        offset_ms=straight.offset_ms,
        penalty=chosen.penalty,
        networks=len(networks),
        cross_validated_mape=float(error.mean()),
    )


@dataclass(frozen=True, slots=True)
class _Fit:
    affine_ms: NDArray[np.float64]
    corrected_ms: NDArray[np.float64]
    curve: Curve | None
    scale: float
    offset_ms: float
    penalty: float

    def predict_ms(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = counts @ self.corrected_ms
        return sums if self.curve is None else self.curve.times_ms(sums)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a correction is fitted to.

    Attributes:
        counts: (networks, keys) how often each network contains each key.
        measured_ms: time of each network.
        raw_ms: time of each key alone.
        shared: (keys, effects) where each effect applies.
    """

    counts: NDArray[np.float64]
    measured_ms: NDArray[np.float64]
    raw_ms: NDArray[np.float64]
    shared: NDArray[np.float64]

    def fit(self, *, curved: bool = False, penalty: float | None = None) -> _Fit:
        """Fit parts, then in turn a curve over their sums and parts under that curve."""
        fit = self._fit_parts(None, penalty)
        for _ in range(CURVE_PASSES if curved else 0):
            curve = fit_curve(self.counts @ fit.corrected_ms, self.measured_ms)
            if curve is None:
                break
            fit = self._fit_parts(curve, penalty)
        return fit

    def _fit_parts(self, curve: Curve | None, penalty: float | None) -> _Fit:
        counts, raw_ms = self.counts, self.raw_ms
        sums = self.measured_ms if curve is None else curve.sums_ms(self.measured_ms)
        scale, offset = _affine(counts, raw_ms, sums)
        affine = np.maximum(scale * raw_ms + offset, SMALLEST_SHARE * raw_ms)
        design = (counts * affine / sums[:, None]) @ self.shared
        residual = 1 - (counts @ affine) / sums
        if penalty is None:
            penalty = _cross_validate(design, residual)
        change = self.shared @ _ridge(design, residual, penalty)
        corrected = affine * np.maximum(1 + change, SMALLEST_SHARE)
        return _Fit(affine, corrected, curve, scale, offset, penalty)

    def left_out_errors(self, like: _Fit) -> NDArray[np.float64]:
        """Return the absolute relative error of each network when the fit does not see it."""
        fold = _folds(len(self.measured_ms))
        errors = np.zeros(len(self.measured_ms))
        for held_out in np.unique(fold):
            seen = fold != held_out
            others = replace(self, counts=self.counts[seen], measured_ms=self.measured_ms[seen])
            fit = others.fit(curved=like.curve is not None, penalty=like.penalty)
            predicted = fit.predict_ms(self.counts[~seen])
            errors[~seen] = np.abs(predicted / self.measured_ms[~seen] - 1)
        return errors


def _folds(count: int) -> NDArray[np.int64]:
    return np.arange(count) % min(FOLDS, count)


def _affine(
    counts: NDArray[np.float64], raw_ms: NDArray[np.float64], measured_ms: NDArray[np.float64]
) -> tuple[float, float]:
    features = np.stack([counts @ raw_ms, counts.sum(axis=1)], axis=1) / measured_ms[:, None]
    (scale, offset), *_ = np.linalg.lstsq(features, np.ones(len(measured_ms)), rcond=None)
    return float(scale), float(offset)


def _shared_effects(keys: Sequence[Key]) -> NDArray[np.float64]:
    """Return one column per key, per block name and per resolution (1 where it applies)."""
    blocks = sorted({key.block for key in keys})
    resolutions = sorted({key.resolution for key in keys})
    by_block = np.array([[key.block == block for block in blocks] for key in keys], float)
    by_place = np.array([[key.resolution == r for r in resolutions] for key in keys], float)
    return np.hstack([np.eye(len(keys)), by_block, by_place])


def _ridge(
    design: NDArray[np.float64], residual: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """Solve the dual form: there are fewer networks than effects."""
    kernel = design @ design.T
    dual = np.linalg.solve(kernel + penalty * np.eye(len(residual)), residual)
    return np.asarray(design.T @ dual)


def _cross_validate(design: NDArray[np.float64], residual: NDArray[np.float64]) -> float:
    fold = _folds(len(residual))
    errors = np.zeros(len(PENALTIES))
    for index, penalty in enumerate(PENALTIES):
        for held_out in np.unique(fold):
            train = fold != held_out
            change = _ridge(design[train], residual[train], float(penalty))
            errors[index] += np.abs(residual[~train] - design[~train] @ change).sum()
    return float(PENALTIES[int(np.argmin(errors))])
