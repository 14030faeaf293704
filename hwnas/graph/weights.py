"""Deployed weights: one weight and one bias per convolution or linear node, batch norm folded."""

from __future__ import annotations

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

    Used where only the time matters: runtimes slow down on denormal or exploding values.
    """
    rng = np.random.default_rng(seed)
    weights = {}
    for node in graph:
        if isinstance(node.op, Conv | Linear):
            shape = weight_shape(node.op)
            scale = np.sqrt(2.0 / np.prod(shape[1:]))
            weight = (scale * rng.standard_normal(shape)).astype(np.float32)
            bias = (0.1 * rng.standard_normal(shape[0])).astype(np.float32)
            weights[node.name] = (weight, bias)
    return weights
