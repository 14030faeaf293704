"""A graph with folded weights, run by torch functions alone: an independent witness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own usage

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
    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights


def clamped(y: torch.Tensor, activation: str | None) -> torch.Tensor:
    """Return an activation of y."""
    low, high = {None: (-torch.inf, torch.inf), "relu": (0, torch.inf), "relu6": (0, 6)}[activation]
    return y.clamp(low, high)


def run(  # noqa: C901 - one case per operation
    graph: Graph, weights: Weights, images: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the output for images (n, C, H, W), computed in float64."""
    values = {INPUT: torch.from_numpy(np.asarray(images, np.float64))}
    for node in graph:
        x = values[node.inputs[0]]
        match node.op:
            case Conv() as op:
                w, b = (torch.from_numpy(a.astype(np.float64)) for a in weights[node.name])
                y = F.conv2d(x, w, b, op.stride, op.kernel // 2, groups=op.groups)
                values[node.name] = clamped(y, op.activation)
            case Shuffle(groups):
                order = torch.arange(x.shape[1]).view(groups, -1).T.reshape(-1)
                values[node.name] = x[:, order]
            case Add():
                values[node.name] = x + values[node.inputs[1]]
            case GlobalAvgPool():
                values[node.name] = x.flatten(2).mean(2)
            case Linear() as op:
                w, b = (torch.from_numpy(a.astype(np.float64)) for a in weights[node.name])
                values[node.name] = clamped(F.linear(x, w, b), op.activation)
            case Multiply():
                values[node.name] = torch.einsum("nchw,nc->nchw", x, values[node.inputs[1]])
            case HardSwish():
                values[node.name] = x * (x + 3).clamp(0, 6) / 6
            case HardSigmoid():
                values[node.name] = (x + 3).clamp(0, 6) / 6
            case Slice(start, stop):
                values[node.name] = x[:, list(range(start, stop))]
            case Concat():
                values[node.name] = torch.hstack([values[name] for name in node.inputs])
            case MaxPool(kernel, stride):
                padded = F.pad(x, [kernel // 2] * 4, value=-torch.inf)
                windows = padded.unfold(2, kernel, stride).unfold(3, kernel, stride)
                values[node.name] = windows.amax((4, 5))
    return values[graph.output.name].numpy()


def relative_error(found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """Return the largest difference relative to the largest expected value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def rounding_effect(
    graph: Graph, weights: Weights, images: NDArray[np.floating], expected: NDArray[np.floating]
) -> float:
    """Return the relative error that one float32 rounding of the weights makes.

    Deep random networks amplify rounding: torch in float32 is then as far from float64.
    """
    rng = np.random.default_rng(0)
    rounded = {
        name: (weight * (1 + 2**-23 * rng.standard_normal(weight.shape)), bias)
        for name, (weight, bias) in weights.items()
    }
    return relative_error(run(graph, rounded, images), expected)
