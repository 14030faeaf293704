"""An analytical latency model, for devices that nobody can time here.

A part's time is a sum over its operations: multiply-accumulates at one rate for dense, grouped
and depthwise convolutions each, bytes at the memory's rate, and a fixed overhead. The five rates
start from the profile's assumptions and are corrected by published times of whole networks:
maximum a posteriori in their logarithms (log-normal priors around a common speed that is all but
free, relative normal errors), with the Laplace approximation for the uncertainty of a prediction.

No device is such a sum. How far networks are off however the rates are chosen (the form error)
counts in the fit and in the stated uncertainty, and was measured where networks can be timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import optimize

from hwnas.graph import Conv
from hwnas.graph.ops import madds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.device import Estimation
    from hwnas.graph import Graph

FEATURES = ("dense_gmadds", "grouped_gmadds", "depthwise_gmadds", "moved_gb", "ops")

Vector: TypeAlias = "NDArray[np.float64]"


def features(graph: Graph) -> Vector:
    """Return the five amounts of work of a graph, in the order of `FEATURES`."""
    amounts = dict.fromkeys(FEATURES, 0.0)
    for node in graph:
        amounts["ops"] += 1
        amounts["moved_gb"] += graph.moved_bytes(node) / 1e9
        if isinstance(node.op, Conv):
            amounts[_kind(node.op)] += madds(node.op, node.shape) / 1e9
    return np.array([amounts[name] for name in FEATURES])


def _kind(op: Conv) -> str:
    if op.depthwise:
        return "depthwise_gmadds"
    return "grouped_gmadds" if op.groups > 1 else "dense_gmadds"


FORM_ERROR = 0.08
"""Relative error of a network that no choice of rates removes: root mean square on 160 networks of
rcnet-imagenet on onnx-cpu, the largest of three cases measured (benchmarks/estimate_accuracy.py,
Intel Xeon family 6 model 167, one thread; 0.05 for tflite and for rcnet-cifar100)."""
WIDENING = 1.65
"""Factor on the standard deviation of a prediction. Form errors of networks alike go together, so
that few anchors tell less than independent errors would: from it on, the 95% interval covers 95%
of networks in each of those cases with 2 to 5 anchors. By the same script."""
SPEED_SD = 1.5
"""Of the logarithm of a device's speed around the assumptions: a factor of 20 is plausible."""
ENOUGH_ANCHORS = 10
"""From here on the form error is the anchors' own, left out one by one, and not `FORM_ERROR`."""


@dataclass(frozen=True, slots=True)
class AnalyticalModel:
    """Fitted milliseconds per unit of each feature, with their uncertainty.

    Attributes:
        coefficients_ms: (5,) milliseconds per feature.
        covariance: (5, 5) of the logarithms of the coefficients.
        anchor_error: relative standard error of one measured network.
        form_error: relative error of a network that no choice of coefficients removes.
    """

    coefficients_ms: Vector
    covariance: NDArray[np.float64]
    anchor_error: float
    form_error: float

    def predict_ms(self, work: Vector) -> float:
        """Return the time for the features of a graph."""
        return float(work @ self.coefficients_ms)

    def relative_sd(self, work: Vector) -> float:
        """Return the relative standard deviation of that prediction for a new network."""
        share = work * self.coefficients_ms / self.predict_ms(work)
        unfitted = self.anchor_error**2 + self.form_error**2
        return WIDENING * float(np.sqrt(share @ self.covariance @ share + unfitted))


def fit(
    prior: Estimation, anchors: Sequence[tuple[Vector, float]], form_error: float | None = None
) -> AnalyticalModel:
    """Fit the model to (features, latency_ms) of whole networks.

    Args:
        prior: assumed rates and how little they are trusted.
        anchors: at least one network.
        form_error: see `AnalyticalModel`; None: `FORM_ERROR`, or the anchors' own if there are
            enough of them.
    """
    if form_error is None:
        form_error = FORM_ERROR
        if len(anchors) >= ENOUGH_ANCHORS:
            form_error = float(np.sqrt(np.mean(np.square(left_out_errors(prior, anchors)))))
    assumed_ms = np.array(
        [
            1e3 / prior.dense_gmadds,
            1e3 / prior.grouped_gmadds,
            1e3 / prior.depthwise_gmadds,
            1e3 / prior.memory_gbps,
            prior.op_overhead_ms,
        ]
    )
    works = np.array([work for work, _ in anchors])
    times = np.array([ms for _, ms in anchors])
    spread = prior.spread**2 * np.eye(len(FEATURES)) + SPEED_SD**2
    whiten = np.linalg.inv(np.linalg.cholesky(spread))
    error = np.hypot(prior.anchor_error, form_error)

    def residuals(change: Vector) -> Vector:
        predicted = works @ (assumed_ms * np.exp(change))
        return np.concatenate([(predicted / times - 1) / error, whiten @ change])

    solution = optimize.least_squares(residuals, np.zeros(len(FEATURES)), xtol=1e-12, ftol=1e-12)
    covariance = np.linalg.inv(solution.jac.T @ solution.jac)
    coefficients_ms = assumed_ms * np.exp(solution.x)
    return AnalyticalModel(coefficients_ms, covariance, prior.anchor_error, form_error)


def left_out_errors(prior: Estimation, anchors: Sequence[tuple[Vector, float]]) -> list[float]:
    """Return each anchor's relative error by the model fitted to all the others.

    Args:
        prior: as in `fit`.
        anchors: at least two networks.
    """
    errors = []
    for index, (work, latency_ms) in enumerate(anchors):
        others = [anchor for other, anchor in enumerate(anchors) if other != index]
        errors.append(fit(prior, others, FORM_ERROR).predict_ms(work) / latency_ms - 1)
    return errors
