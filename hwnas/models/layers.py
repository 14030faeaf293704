"""The torch module of every primitive operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.graph import (
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
    from hwnas.graph import Activation, Op

ACTIVATIONS: dict[Activation | None, type[nn.Module]] = {
    "relu6": nn.ReLU6,
    "relu": nn.ReLU,
    None: nn.Identity,
}


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm and the op's activation, if any."""

    def __init__(self, op: Conv) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            op.in_channels,
            op.out_channels,
            op.kernel,
            op.stride,
            op.kernel // 2,
            groups=op.groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(op.out_channels)
        # Serves a momentum that depends on it; here it would cost a GPU one launch per layer.
        self.norm.num_batches_tracked = None
        self.act = ACTIVATIONS[op.activation](inplace=True)


class LinearAct(nn.Linear):
    """Linear layer and the op's activation, if any."""

    def __init__(self, op: Linear) -> None:
        super().__init__(op.in_features, op.out_features)
        self.act = ACTIVATIONS[op.activation]()

    def forward(self, value: Tensor) -> Tensor:
        """Return (n, out_features) for (n, in_features)."""
        result: Tensor = self.act(super().forward(value))
        return result


class Weightless(nn.Module):
    """An operation that nothing is learnt of."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.op = op

    def forward(self, *values: Tensor) -> Tensor:
        """Return the result (n, C, ...) for inputs (n, C, ...), in the order of the graph."""
        first = values[0]
        match self.op:
            case Shuffle(groups):
                return _shuffled(first, groups)
            case Add():
                return first + values[1]
            case Multiply():
                return first * values[1][..., None, None]
            case HardSwish():
                return functional.hardswish(first)
            case HardSigmoid():
                return functional.hardsigmoid(first)
            case Slice(start, stop):
                return first[:, start:stop]
            case Concat():
                return torch.cat(values, dim=1)
            case MaxPool(kernel, stride):
                return functional.max_pool2d(first, kernel, stride, kernel // 2)
            case GlobalAvgPool():
                return first.mean((2, 3))
            case op:
                raise NotImplementedError(f"{type(op).__name__} without weights")


def _shuffled(value: Tensor, groups: int) -> Tensor:
    """Move channel g * (C / groups) + k to k * groups + g."""
    # Written for channels-last memory, which training uses: faster there than
    # splitting the channels in place, whose result the next convolution has to reorder.
    n, channels, height, width = value.shape
    rows = value.permute(0, 2, 3, 1)
    split = rows.view(n, height, width, groups, channels // groups)
    return split.transpose(3, 4).reshape(n, height, width, channels).permute(0, 3, 1, 2)


def layer_of(op: Op) -> ConvNormAct | LinearAct | Weightless:
    """Return a module for `op`, weights as torch draws them."""
    match op:
        case Conv():
            return ConvNormAct(op)
        case Linear():
            return LinearAct(op)
        case _:
            return Weightless(op)
