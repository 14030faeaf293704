"""Static quantisation to 8 bits: activations by a calibration batch, weights by channel.

A real value is scale * (integer - zero_point). Activations are asymmetric, with the extremes
seen on the batch; weights are symmetric, one scale per output channel; a bias has 32 bits and
the scale of the sum that it is added to (Jacob et al., CVPR 2018, section 2). The same numbers go
into every format. A clamp needs no operation of its own where the integers end where it cuts.

What only rearranges values keeps its inputs' integers: all of its values are stored alike, with the
extremes of all. So no format has to compute anything there, and TFLite's kernels ask for it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.graph import (
    INPUT,
    Add,
    Concat,
    Conv,
    GlobalAvgPool,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool,
    Multiply,
    Rearrangement,
    Shuffle,
    Slice,
)
from hwnas.targets.inputs import steady_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import Activation, Graph, Node, Weights

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
        images: normalised inputs (n, C, H, W) like those of use; few are enough, all run at once.
            Without them, one input of |N(0, 1)| values, which is good for timing only.
    """
    import torch

    batch = steady_input((1, *graph.input_shape)) if images is None else images
    with torch.inference_mode(), _one_thread():
        values = {INPUT: torch.from_numpy(np.ascontiguousarray(batch, np.float32))}
        for node in graph:
            values[node.name] = _computed(node, values, weights)
        ranges = {name: _range(value) for name, value in values.items()}
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
    column = scales.reshape(-1, *[1] * (weight.ndim - 1))
    whole = np.clip(np.rint(weight / column), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
    return Integers(whole, scales, np.rint(bias / (input_scale * scales)).astype(np.int32))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch on one thread: a pinned process has one core, and spinning threads stall it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _range(values: Tensor) -> tuple[float, float]:
    low, high = values.aminmax()
    return float(low), float(high)


def _stored_alike(graph: Graph) -> Iterable[set[str]]:
    """Return the values of the graph in sets that share one scale and zero point."""
    members = {INPUT: {INPUT}}
    for node in graph:
        members[node.name] = {node.name}
        if isinstance(node.op, Rearrangement):
            alike = members[node.name].union(*(members[name] for name in node.inputs))
            members |= dict.fromkeys(alike, alike)
    return {id(alike): alike for alike in members.values()}.values()


def _activated(values: Tensor, activation: Activation | None) -> Tensor:
    """Apply an activation in place."""
    match activation:
        case "relu6":
            return values.clamp_(0, 6)
        case "relu":
            return values.clamp_(min=0)
        case None:
            return values


def _computed(  # noqa: C901 - one case per operation
    node: Node, values: dict[str, Tensor], weights: Weights
) -> Tensor:
    """Return the result of one operation in float32."""
    import torch
    from torch.nn import functional

    source = values[node.inputs[0]]
    match node.op:
        case Conv() as op:
            weight, bias = map(torch.from_numpy, weights[node.name])
            pad = op.kernel // 2
            total = functional.conv2d(source, weight, bias, op.stride, pad, groups=op.groups)
            return _activated(total, op.activation)
        case Shuffle(groups):
            return functional.channel_shuffle(source, groups)
        case Add():
            return source + values[node.inputs[1]]
        case Multiply():
            return source * values[node.inputs[1]][..., None, None]
        case HardSwish():
            return functional.hardswish(source)
        case HardSigmoid():
            return functional.hardsigmoid(source)
        case Slice(start, stop):
            return source[:, start:stop]
        case Concat():
            return torch.cat([values[name] for name in node.inputs], dim=1)
        case MaxPool(kernel, stride):
            return functional.max_pool2d(source, kernel, stride, kernel // 2)
        case GlobalAvgPool():
            return source.mean((2, 3))
        case Linear() as op:
            total = functional.linear(source, *map(torch.from_numpy, weights[node.name]))
            return _activated(total, op.activation)
