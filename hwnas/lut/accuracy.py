"""How well a table predicts whole networks: the held-out check and the margin drawn from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

GATE_MAPE = 0.05
GATE_WITHIN_10PCT = 0.9
GATE_KENDALL_TAU = 0.8
MINIMUM_NETWORKS = 30

CONFIDENCE = 0.95
"""Of margins, unless another one is asked for."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Errors of predictions against measurements.

    Attributes:
        networks: how many whole networks were compared.
        mape: mean absolute error relative to the measurement.
        within_5pct: share of networks predicted within 5%.
        within_10pct: share of networks predicted within 10%.
        kendall_tau: rank correlation (tau-b).
        worst: largest absolute relative error.
    """

    networks: int
    mape: float
    within_5pct: float
    within_10pct: float
    kendall_tau: float
    worst: float

    def to_json(self) -> dict[str, float]:
        """Return the fields as a dictionary."""
        return asdict(self)

    def gate(self) -> list[str]:
        """Return the conditions that do not hold; an empty list means that the table passes."""
        failures = []
        if self.networks < MINIMUM_NETWORKS:
            failures.append(f"{self.networks} networks < {MINIMUM_NETWORKS}")
        if not self.mape <= GATE_MAPE:
            failures.append(f"MAPE {self.mape:.1%} > {GATE_MAPE:.0%}")
        if not self.within_10pct >= GATE_WITHIN_10PCT:
            failures.append(f"within 10%: {self.within_10pct:.0%} < {GATE_WITHIN_10PCT:.0%}")
        if not self.kendall_tau >= GATE_KENDALL_TAU:
            failures.append(f"Kendall tau {self.kendall_tau:.2f} < {GATE_KENDALL_TAU}")
        return failures


def compare(predicted: ArrayLike, measured: ArrayLike) -> Accuracy:
    """Return the errors of predicted against measured times of the same networks."""
    from scipy import stats  # takes longer than what most commands do

    prediction, truth = np.asarray(predicted, float), np.asarray(measured, float)
    errors = np.abs(prediction / truth - 1)
    return Accuracy(
        networks=len(errors),
        mape=float(errors.mean()),
        within_5pct=float((errors <= 0.05).mean()),
        within_10pct=float((errors <= 0.10).mean()),
        kendall_tau=float(stats.kendalltau(prediction, truth).statistic),
        worst=float(errors.max()),
    )


def conformal_margin(predicted: ArrayLike, measured: ArrayLike, confidence: float) -> float:
    """Return m such that measured <= predicted * (1 + m) holds with the given confidence.

    Split-conformal (Vovk et al. 2005; Lei et al. 2018): the ceil((n + 1) * confidence)-th
    smallest of the n relative residuals; infinite when n is too small for the confidence. Never
    below zero: an upper bound is not tighter than the prediction.
    """
    residuals = np.sort(np.asarray(measured, float) / np.asarray(predicted, float) - 1)
    rank = math.ceil((len(residuals) + 1) * confidence)
    return max(0.0, float(residuals[rank - 1])) if rank <= len(residuals) else math.inf


def held_out_check(predicted: ArrayLike, measured: ArrayLike) -> dict[str, Any]:
    """Return what a table's meta.json tells of its held-out networks."""
    accuracy = compare(predicted, measured)
    return {
        **accuracy.to_json(),
        "confidence": CONFIDENCE,
        "margin": conformal_margin(predicted, measured, CONFIDENCE),
        "failures": accuracy.gate(),
    }
