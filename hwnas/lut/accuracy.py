"""How well a table predicts whole networks: the held-out check and the margin drawn from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

GATE_MAPE = 0.05
GATE_WITHIN_10PCT = 0.9
GATE_KENDALL_TAU = 0.8
MINIMUM_NETWORKS = 30

CONFIDENCE = 0.95
"""Of margins, unless another one is asked for."""
CERTAINTY = 0.9
"""How surely a margin covers at least its confidence, over the draw of the held-out networks."""


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

    Split-conformal: an order statistic of the relative residuals, see `margin_rank`; infinite when
    there are too few for the confidence. Never below zero: an upper bound is not tighter than the
    prediction.
    """
    residuals = np.sort(np.asarray(measured, float) / np.asarray(predicted, float) - 1)
    rank = margin_rank(len(residuals), confidence)
    return math.inf if rank is None else max(0.0, float(residuals[rank - 1]))


def margin_rank(count: int, confidence: float) -> int | None:
    """Return which of `count` sorted residuals is the margin; None: too few for the confidence.

    The usual rank, ceil((count + 1) * confidence), covers enough on average over many tables, and
    too little in about two of five of them. So it is the smallest rank whose coverage is at least
    `confidence` with `CERTAINTY`; where not even the largest residual is so sure, the largest, as
    long as the usual rank exists.
    """
    if math.ceil((count + 1) * confidence) > count:
        return None
    ranks = np.arange(1, count + 1)
    sure = _surely_covers(ranks, count, confidence) >= CERTAINTY
    return int(ranks[sure][0]) if sure.any() else count


def margin_certainty(count: int, confidence: float) -> float:
    """Return how surely the margin of `count` held-out networks covers at least `confidence`."""
    rank = margin_rank(count, confidence)
    return 0.0 if rank is None else float(_surely_covers(rank, count, confidence))


def _surely_covers(ranks: ArrayLike, count: int, confidence: float) -> NDArray[np.float64]:
    """Return the probability that the share of networks below a residual is at least `confidence`.

    That share is Beta(rank, count + 1 - rank) distributed, whatever the errors are (Vovk,
    "Conditional validity of inductive conformal predictors", 2012, proposition 2).
    """
    from scipy.special import betaincc

    rank = np.asarray(ranks)
    return np.asarray(betaincc(rank, count + 1 - rank, confidence))


def held_out_check(predicted: ArrayLike, measured: ArrayLike) -> dict[str, Any]:
    """Return what a table's meta.json tells of its held-out networks."""
    accuracy = compare(predicted, measured)
    return {
        **accuracy.to_json(),
        "confidence": CONFIDENCE,
        "margin": conformal_margin(predicted, measured, CONFIDENCE),
        "failures": accuracy.gate(),
    }
