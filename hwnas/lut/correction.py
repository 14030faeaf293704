"""Correct part timings by whole networks, so that the table sums to what a network takes.

Parts timed alone miss what happens between them: fused operations, layouts, warm caches, the cost
of a call. A few dozen whole networks tell the difference. Two steps, both on relative residuals:
an affine map (one scale, one offset per part), then ridge regression of a relative change per
part, shrunk towards zero, with effects shared by block name and by resolution so that few
networks inform many parts. The penalty is chosen by cross-validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.spaces import Key

PENALTIES = np.logspace(-5, 1, 25)
FOLDS = 10
SMALLEST_SHARE = 0.05
"""A corrected entry keeps at least this share of its own timing: latencies stay positive."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Corrected times of the parts, and what was done to get them.

    Attributes:
        affine_ms: times after the affine step, by key.
        corrected_ms: final times, by key.
        scale: factor of the affine step.
        offset_ms: offset of the affine step, per part.
        penalty: chosen ridge penalty.
        networks: whole networks used.
    """

    affine_ms: NDArray[np.float64]
    corrected_ms: NDArray[np.float64]
    scale: float
    offset_ms: float
    penalty: float
    networks: int


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
    counts = count_matrix(keys, networks)
    scale, offset = _affine(counts, raw_ms, measured_ms)
    affine = np.maximum(scale * raw_ms + offset, SMALLEST_SHARE * raw_ms)
    shared = _shared_effects(keys)
    design = (counts * affine / measured_ms[:, None]) @ shared
    residual = 1 - (counts @ affine) / measured_ms
    penalty = _cross_validate(design, residual)
    change = shared @ _ridge(design, residual, penalty)
    corrected = affine * np.maximum(1 + change, SMALLEST_SHARE)
    return Correction(affine, corrected, scale, offset, penalty, len(networks))


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
    fold = np.arange(len(residual)) % min(FOLDS, len(residual))
    errors = np.zeros(len(PENALTIES))
    for index, penalty in enumerate(PENALTIES):
        for held_out in np.unique(fold):
            train = fold != held_out
            change = _ridge(design[train], residual[train], float(penalty))
            errors[index] += np.abs(residual[~train] - design[~train] @ change).sum()
    return float(PENALTIES[int(np.argmin(errors))])
