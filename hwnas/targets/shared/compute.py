"""What a graph computes, by torch functions: for calibration, and to hold a file against."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hwnas.targets.shared.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import Activation, Conv, Graph, Linear, MaxPool, Node, Slice

Numbers: TypeAlias = "Mapping[str, tuple[NDArray[Any], NDArray[Any]]]"
"""Weight and bias of every convolution and linear node, of one type."""
Rounding: TypeAlias = "Callable[[str, Tensor], Tensor]"
"""What storing a value does to it, by the value's name: (name, value) to value."""

BATCH_BYTES = 400_000_000
"""Of the values of a batch that live at the same time: whole data sets do not fit."""


def exact(_name: str, value: Tensor) -> Tensor:
    """Return the value as it is."""
    return value


def run(
    graph: Graph,
    weights: Numbers,
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
            for _, result in values(graph, double, batch.astype(np.float64), rounded):
                last = result
            results.append(last.numpy())
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
    graph: Graph, weights: Numbers, images: NDArray[Any], rounded: Rounding = exact
) -> Iterator[tuple[str, Tensor]]:
    """Yield every value of a graph with its name, the input first, in the type of the weights."""
    import torch

    with torch.inference_mode():
        source = torch.from_numpy(np.ascontiguousarray(images))
        yield from _Torch(weights, rounded).values(graph, source)


class _Torch(Walk["Tensor"]):
    """Computes by torch functions."""

    def __init__(self, weights: Numbers, rounded: Rounding) -> None:
        import torch

        self._torch, self._functional = torch, torch.nn.functional
        self._weights, self._rounded = weights, rounded

    def finished(self, name: str, value: Tensor) -> Tensor:
        return self._rounded(name, value)

    def conv(self, node: Node, op: Conv, source: Tensor) -> Tensor:
        pad, (weight, bias) = op.kernel // 2, self._numbers(node)
        total = self._functional.conv2d(source, weight, bias, op.stride, pad, groups=op.groups)
        return _activated(total, op.activation)

    def shuffle(self, _: Node, groups: int, source: Tensor) -> Tensor:
        return self._functional.channel_shuffle(source, groups)

    def add(self, _: Node, left: Tensor, right: Tensor) -> Tensor:
        return left + right

    def multiply(self, _: Node, source: Tensor, factors: Tensor) -> Tensor:
        return source * factors[..., None, None]

    def hard_swish(self, _: Node, source: Tensor) -> Tensor:
        return self._functional.hardswish(source)

    def hard_sigmoid(self, _: Node, source: Tensor) -> Tensor:
        return self._functional.hardsigmoid(source)

    def slice(self, _: Node, op: Slice, source: Tensor) -> Tensor:
        return source[:, op.start : op.stop]

    def concat(self, _: Node, *sources: Tensor) -> Tensor:
        return self._torch.cat(sources, dim=1)

    def max_pool(self, _: Node, op: MaxPool, source: Tensor) -> Tensor:
        return self._functional.max_pool2d(source, op.kernel, op.stride, op.kernel // 2)

    def global_avg_pool(self, _: Node, source: Tensor) -> Tensor:
        return source.mean((2, 3))

    def linear(self, node: Node, op: Linear, source: Tensor) -> Tensor:
        total = self._functional.linear(source, *self._numbers(node))
        return _activated(total, op.activation)

    def _numbers(self, node: Node) -> list[Tensor]:
        return [self._torch.from_numpy(each) for each in self._weights[node.name]]


def _activated(values: Tensor, activation: Activation | None) -> Tensor:
    """Apply an activation in place."""
    match activation:
        case "relu6":
            return values.clamp_(0, 6)
        case "relu":
            return values.clamp_(min=0)
        case None:
            return values
