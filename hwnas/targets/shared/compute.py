"""What a graph computes, by torch functions: for calibration, and to hold a file against."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

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
    Shuffle,
    Slice,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import Activation, Graph, Node

Rounding: TypeAlias = "Callable[[str, Tensor], Tensor]"
"""What storing a value does to it, by the value's name: (name, value) to value."""

BATCH_BYTES = 400_000_000
"""Of the values of a batch that live at the same time: whole data sets do not fit."""


def exact(_name: str, value: Tensor) -> Tensor:
    """Return the value as it is."""
    return value


def run(
    graph: Graph,
    weights: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    images: NDArray[np.floating[Any]],
    rounded: Rounding = exact,
) -> NDArray[np.float64]:
    """Return the output of a graph, computed in float64.

    Args:
        graph: a whole network, or a part of one.
        weights: weight and bias of every convolution and linear node.
        images: normalised inputs (n, C, H, W).
        rounded: what is done to every value, the input included.
    """
    double = {
        name: (w.astype(np.float64), b.astype(np.float64)) for name, (w, b) in weights.items()
    }
    results = []
    with one_thread():
        for batch in batches(graph, images):
            *_, (_, result) = values(graph, double, batch.astype(np.float64), rounded)
            results.append(result.numpy())
    return np.concatenate(results)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch on one thread: where others run or are pinned, its spinning threads stall it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def batches(graph: Graph, images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield images in parts whose values stay within some hundred MB, in float64."""
    size = max(1, BATCH_BYTES // (2 * graph.peak_bytes))
    for first in range(0, len(images), size):
        yield images[first : first + size]


def values(
    graph: Graph,
    weights: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    images: NDArray[Any],
    rounded: Rounding = exact,
) -> Iterator[tuple[str, Tensor]]:
    """Yield every value of a graph with its name, the input first.

    Each is dropped after its last reader, so that large networks stay within memory.
    """
    import torch

    last = {name: node.name for node in graph for name in node.inputs}
    with torch.inference_mode():
        known = {INPUT: rounded(INPUT, torch.from_numpy(np.ascontiguousarray(images)))}
        yield INPUT, known[INPUT]
        for node in graph:
            known[node.name] = rounded(node.name, _computed(node, known, weights))
            yield node.name, known[node.name]
            for name in set(node.inputs):
                if last[name] == node.name:
                    del known[name]


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
    node: Node,
    known: dict[str, Tensor],
    weights: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
) -> Tensor:
    """Return the result of one operation in the type of its input and weights."""
    import torch
    from torch.nn import functional

    source = known[node.inputs[0]]
    match node.op:
        case Conv() as op:
            weight, bias = map(torch.from_numpy, weights[node.name])
            pad = op.kernel // 2
            total = functional.conv2d(source, weight, bias, op.stride, pad, groups=op.groups)
            return _activated(total, op.activation)
        case Shuffle(groups):
            return functional.channel_shuffle(source, groups)
        case Add():
            return source + known[node.inputs[1]]
        case Multiply():
            return source * known[node.inputs[1]][..., None, None]
        case HardSwish():
            return functional.hardswish(source)
        case HardSigmoid():
            return functional.hardsigmoid(source)
        case Slice(start, stop):
            return source[:, start:stop]
        case Concat():
            return torch.cat([known[name] for name in node.inputs], dim=1)
        case MaxPool(kernel, stride):
            return functional.max_pool2d(source, kernel, stride, kernel // 2)
        case GlobalAvgPool():
            return source.mean((2, 3))
        case Linear() as op:
            total = functional.linear(source, *map(torch.from_numpy, weights[node.name]))
            return _activated(total, op.activation)
