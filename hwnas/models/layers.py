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

ACTIVATIONS: dict[Activation, type[nn.ReLU6 | nn.ReLU]] = {"relu6": nn.ReLU6, "relu": nn.ReLU}


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
        if op.activation is not None:
            self.act = ACTIVATIONS[op.activation](inplace=True)


class ChannelShuffle(nn.Module):
    """Channel g * (C / groups) + k moves to k * groups + g."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, value: Tensor) -> Tensor:
        """Return the shuffled (n, C, h, w)."""
        # Written for channels-last memory, which training uses: faster there than
        # splitting the channels in place, whose result the next convolution has to reorder.
        n, channels, height, width = value.shape
        rows = value.permute(0, 2, 3, 1)
        split = rows.view(n, height, width, self.groups, channels // self.groups)
        return split.transpose(3, 4).reshape(n, height, width, channels).permute(0, 3, 1, 2)


class Sum(nn.Module):
    """Element-wise sum."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return left + right."""
        return left + right


class Pool(nn.Module):
    """Mean over height and width."""

    def forward(self, value: Tensor) -> Tensor:
        """Return (n, C) for (n, C, h, w)."""
        return value.mean((2, 3))


class LinearAct(nn.Linear):
    """Linear layer and the op's activation, if any."""

    def __init__(self, op: Linear) -> None:
        super().__init__(op.in_features, op.out_features)
        self.activation = op.activation

    def forward(self, value: Tensor) -> Tensor:
        """Return (n, out_features) for (n, in_features)."""
        result = super().forward(value)
        match self.activation:
            case "relu6":
                return functional.relu6(result)
            case "relu":
                return functional.relu(result)
            case None:
                return result


class Scale(nn.Module):
    """A feature map times one factor per channel."""

    def forward(self, value: Tensor, factors: Tensor) -> Tensor:
        """Return (n, C, h, w) for (n, C, h, w) and (n, C)."""
        return value * factors[..., None, None]


class ChannelSlice(nn.Module):
    """The channels from `start` up to but without `stop`."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, value: Tensor) -> Tensor:
        """Return (n, stop - start, ...) for (n, C, ...)."""
        return value[:, self.start : self.stop]


class ChannelConcat(nn.Module):
    """The channels of all inputs."""

    def forward(self, *values: Tensor) -> Tensor:
        """Return (n, sum of channels, h, w)."""
        return torch.cat(values, dim=1)


def layer_of(op: Op) -> nn.Module:  # noqa: C901 - one case per operation
    """Return a module for `op`, weights as torch draws them."""
    match op:
        case Conv():
            return ConvNormAct(op)
        case Shuffle():
            return ChannelShuffle(op.groups)
        case Add():
            return Sum()
        case Multiply():
            return Scale()
        case HardSwish():
            return nn.Hardswish()
        case HardSigmoid():
            return nn.Hardsigmoid()
        case Slice():
            return ChannelSlice(op.start, op.stop)
        case Concat():
            return ChannelConcat()
        case MaxPool():
            return nn.MaxPool2d(op.kernel, op.stride, op.kernel // 2)
        case GlobalAvgPool():
            return Pool()
        case Linear():
            return LinearAct(op)
