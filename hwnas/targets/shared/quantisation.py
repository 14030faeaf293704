"""Static quantisation to 8 bits: activations by a calibration batch, weights by channel.

A real value is scale * (integer - zero_point). Activations are asymmetric, with the extremes
seen on the batch; weights are symmetric, one scale per output channel; a bias has 32 bits and
the scale of the sum that it is added to (Jacob et al., CVPR 2018, section 2). The same numbers go
into every format. A clamp needs no operation of its own where the integers end where it cuts.

What only rearranges values keeps its inputs' integers: all of its values are stored alike, with the
extremes of all. So no format has to compute anything there, and TFLite's kernels ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.graph import INPUT, HardSigmoid, Linear, Rearrangement
from hwnas.targets.shared.compute import batches, one_thread, values
from hwnas.targets.shared.interface import steady_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import Activation, Graph, Weights
    from hwnas.targets.shared.compute import Rounding

LEVELS = 255
"""Steps between the smallest and the largest 8-bit integer."""

WEIGHT_LIMIT = 127
BIAS_LIMIT = 2**30
"""Half of what 32 bits hold: the products that are added to the bias need the other half."""

NARROWEST = 1e-3
"""Least width of a range: a value that is always zero has a scale too."""


@dataclass(frozen=True, slots=True)
class Affine:
    """How an activation is stored: real = scale * (integer - zero_point), integer 0 to 255."""

    scale: np.float32
    zero_point: int


@dataclass(frozen=True, slots=True)
class Integers:
    """Weight and bias of one operation as integers.

    Attributes:
        weight: int8, shaped like the real one.
        scales: of the weight, float32 (out,); one figure repeated when there is only one.
        bias: int32 (out,), in units of input scale * weight scale.
    """

    weight: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.int32]


def calibrate(
    graph: Graph, weights: Weights, images: NDArray[np.float32] | None = None
) -> dict[str, Affine]:
    """Return how every value of the graph is stored, by name.

    Args:
        graph: a whole network, or a part of one.
        weights: folded weights.
        images: normalised inputs (n, C, H, W) like those of use; a hundred or so are enough.
            Without them, one input of |N(0, 1)| values, which is good for timing only.
    """
    batch = steady_input((1, *graph.input_shape)) if images is None else images
    ranges: dict[str, tuple[float, float]] = {}
    with one_thread():
        for part in batches(graph, batch):
            for name, value in values(graph, weights, part):
                low, high = (float(extreme) for extreme in value.aminmax())
                before = ranges.get(name, (low, high))
                ranges[name] = min(low, before[0]), max(high, before[1])
    ranges |= {node.name: (0.0, 1.0) for node in graph if isinstance(node.op, HardSigmoid)}
    found: dict[str, Affine] = {}
    for alike in _stored_alike(graph):
        low = min(ranges[name][0] for name in alike)
        high = max(ranges[name][1] for name in alike)
        found |= dict.fromkeys(alike, between(low, high))
    return found


def between(low: float, high: float) -> Affine:
    """Return how values from `low` to `high` are stored; zero is one of the integers."""
    low, high = min(low, 0.0), max(high, 0.0, low + NARROWEST)
    scale = np.float32((high - low) / LEVELS)
    return Affine(scale, int(np.clip(np.rint(-low / scale), 0, LEVELS)))


def clamps(stored: Affine, activation: Activation | None) -> bool:
    """Return whether values stored so need no clamp, since the integers end where it cuts."""
    highest = float(stored.scale) * (LEVELS - stored.zero_point)
    match activation:
        case "relu6":
            return stored.zero_point == 0 and highest < 6 * (1 + 1e-6)
        case "relu":
            return stored.zero_point == 0
        case None:
            return True


def integers(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    input_scale: np.float32,
    *,
    per_channel: bool = True,
) -> Integers:
    """Return weight and bias as integers.

    A channel whose weights are next to nothing gets a scale that its bias fits into.

    Args:
        weight: (out, ...).
        bias: (out,).
        input_scale: of the activation that the weight is multiplied with.
        per_channel: one scale per output channel, else one for all.
    """
    flat = np.abs(weight.reshape(len(weight), -1))
    largest = flat.max(axis=1) if per_channel else np.full(len(weight), flat.max())
    least = np.abs(bias) / (input_scale * BIAS_LIMIT)
    if not per_channel:
        least = np.full(len(weight), least.max())
    # The scale of the bias, input_scale * scale, has to be a number of full precision, too.
    tiny = np.finfo(np.float32).tiny / min(input_scale, np.float32(1))
    scales = np.maximum(np.maximum(largest / WEIGHT_LIMIT, least), tiny).astype(np.float32)
    whole = np.clip(np.rint(weight / column(scales, weight)), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    return Integers(
        whole.astype(np.int8), scales, np.rint(bias / (input_scale * scales)).astype(np.int32)
    )


def column(scales: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Return scales (out,) shaped to multiply a weight (out, ...)."""
    return scales.reshape(-1, *[1] * (weight.ndim - 1))


def dequantised(
    graph: Graph, weights: Weights, stored: Mapping[str, Affine], *, linear_per_channel: bool
) -> Weights:
    """Return the weights and biases that a file of integers holds, as real numbers.

    Args:
        graph: the network.
        weights: folded weights.
        stored: see `calibrate`.
        linear_per_channel: whether linear layers have one scale per output, or one for all.
    """
    found = {}
    for node in graph:
        if node.name in weights:
            weight, bias = weights[node.name]
            scale = stored[node.inputs[0]].scale
            by_channel = linear_per_channel or not isinstance(node.op, Linear)
            whole = integers(weight, bias, scale, per_channel=by_channel)
            real = whole.weight * column(whole.scales, weight)
            found[node.name] = (real, whole.bias * (scale * whole.scales))
    return found


def rounding(stored: Mapping[str, Affine]) -> Rounding:
    """Return what 8 bits do to the values of a graph: round to the nearest, clip to the range."""

    def rounded(name: str, value: Tensor) -> Tensor:
        scale, zero = float(stored[name].scale), stored[name].zero_point
        return ((value / scale).round() + zero).clamp(0, LEVELS).sub(zero).mul(scale)

    return rounded


def _stored_alike(graph: Graph) -> Iterable[set[str]]:
    """Return the values of the graph in sets that share one scale and zero point."""
    members = {INPUT: {INPUT}}
    for node in graph:
        members[node.name] = {node.name}
        if isinstance(node.op, Rearrangement):
            alike = members[node.name].union(*(members[name] for name in node.inputs))
            members |= dict.fromkeys(alike, alike)
    return {id(alike): alike for alike in members.values()}.values()
