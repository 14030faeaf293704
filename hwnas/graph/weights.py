"""Deployed weights: one weight and one bias per convolution or linear node, batch norm folded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hwnas.graph.ops import Conv, Linear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.graph.graph import Graph

Weights: TypeAlias = "Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]"
"""Node name to (weight, bias), float32.

Convolution weights are (out, in / groups, kernel, kernel), linear ones (out, in).
"""


def weight_shape(op: Conv | Linear) -> tuple[int, ...]:
    """Return the shape of the weight of `op`."""
    if isinstance(op, Linear):
        return (op.out_features, op.in_features)
    return (op.out_channels, op.in_channels // op.groups, op.kernel, op.kernel)


def random_weights(graph: Graph, seed: int) -> Weights:
    """Return He-initialised weights, so that activations keep their scale through the network.

    Used where only the time matters: runtimes slow down on denormal or exploding values. Uniform,
    because a profile draws billions of them and normal ones take five times as long.
    """
    rng = np.random.default_rng(seed)
    weights = {}
    for node in graph:
        if isinstance(node.op, Conv | Linear):
            shape = weight_shape(node.op)
            weight = _uniform(rng, shape, math.sqrt(2.0 / math.prod(shape[1:])))
            weights[node.name] = (weight, _uniform(rng, shape[:1], 0.1))
    return weights


def _uniform(
    rng: np.random.Generator, shape: tuple[int, ...], deviation: float
) -> NDArray[np.float32]:
    """Return values around zero with a standard deviation."""
    values = rng.random(shape, dtype=np.float32)
    values -= np.float32(0.5)
    values *= np.float32(deviation * math.sqrt(12))
    return values
