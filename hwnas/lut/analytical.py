"""An analytical latency model, for devices that nobody can time here.

A part's time is a sum over its operations: multiply-accumulates at one rate for dense, grouped
and depthwise convolutions each, bytes at the memory's rate, and a fixed overhead. The five rates
start from the profile's assumptions and are corrected by published times of whole networks:
maximum a posteriori in their logarithms (log-normal priors, relative normal errors), with the
Laplace approximation for the uncertainty of a prediction.
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


@dataclass(frozen=True, slots=True)
class AnalyticalModel:
    """Fitted milliseconds per unit of each feature, with their uncertainty.

    Attributes:
        coefficients_ms: (5,) milliseconds per feature.
        covariance: (5, 5) of the logarithms of the coefficients.
        anchor_error: relative standard error of one measured network.
    """

    coefficients_ms: Vector
    covariance: NDArray[np.float64]
    anchor_error: float

    def predict_ms(self, work: Vector) -> float:
        """Return the time for the features of a graph."""
        return float(work @ self.coefficients_ms)

    def relative_sd(self, work: Vector) -> float:
        """Return the relative standard deviation of that prediction for a new network."""
        share = work * self.coefficients_ms / self.predict_ms(work)
        return float(np.sqrt(share @ self.covariance @ share + self.anchor_error**2))


def fit(prior: Estimation, anchors: Sequence[tuple[Vector, float]]) -> AnalyticalModel:
    """Fit the model to (features, latency_ms) of whole networks.

    Args:
        prior: assumed rates and how little they are trusted.
        anchors: at least one network.
    """
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

    def residuals(change: Vector) -> Vector:
        predicted = works @ (assumed_ms * np.exp(change))
        return np.concatenate([(predicted / times - 1) / prior.anchor_error, change / prior.spread])

    solution = optimize.least_squares(residuals, np.zeros(len(FEATURES)), xtol=1e-12, ftol=1e-12)
    covariance = np.linalg.inv(solution.jac.T @ solution.jac)
    return AnalyticalModel(assumed_ms * np.exp(solution.x), covariance, prior.anchor_error)
