"""The primitive operations that every network is made of, and what each of them costs.

One MAdd is one multiply-accumulate of a convolution; linear layers, batch norm, activations,
sums, products and pooling count none (the convention of Xiong et al., ICCV 2019, whose tables these
counts reproduce to the unit). Parameters count everything that is trained: convolution weights,
two per channel for batch norm, and linear layers with their bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

Shape: TypeAlias = tuple[int, ...]
"""(channels, height, width) of a feature map, or (features,); the batch is left out."""

Activation: TypeAlias = Literal["relu6", "relu"]
"""What every runtime fuses into the layer before it: values below 0, or also above 6, are cut."""


def strided(size: int, kernel: int, stride: int) -> int:
    """Return how often a window fits into a height or width with kernel // 2 on both sides."""
    return (size + 2 * (kernel // 2) - kernel) // stride + 1


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution without bias, batch norm, and the activation if any; padding is kernel // 2."""

    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    activation: Activation | None = "relu6"

    def __post_init__(self) -> None:
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                "groups must divide both channel counts, but got "
                f"in={self.in_channels}, out={self.out_channels}, groups={self.groups}"
            )

    @property
    def depthwise(self) -> bool:
        """True for one filter per channel."""
        return self.groups == self.in_channels == self.out_channels > 1

    def output(self, shape: Shape) -> Shape:
        """Return the output shape for an input (channels, height, width)."""
        channels, height, width = shape
        if channels != self.in_channels:
            raise ValueError(f"convolution of {self.in_channels} channels got {channels}")
        sizes = (strided(size, self.kernel, self.stride) for size in (height, width))
        return (self.out_channels, *sizes)


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Channel shuffle: channel g * (C / groups) + k moves to k * groups + g."""

    groups: int

    def output(self, shape: Shape) -> Shape:
        """Return the output shape, which is the input's."""
        if shape[0] % self.groups:
            raise ValueError(f"groups must divide channels, but got {self.groups} and {shape[0]}")
        return shape


@dataclass(frozen=True, slots=True)
class Add:
    """Element-wise sum of two equal shapes."""

    def output(self, left: Shape, right: Shape) -> Shape:
        """Return the common shape."""
        if left != right:
            raise ValueError(f"shapes must be equal, but got {left} and {right}")
        return left


@dataclass(frozen=True, slots=True)
class Multiply:
    """A feature map times one factor per channel: (C, H, W) and (C,) to (C, H, W)."""

    def output(self, values: Shape, factors: Shape) -> Shape:
        """Return the shape of the feature map."""
        if factors != values[:1]:
            raise ValueError(f"expected one factor per channel, but got {factors} for {values}")
        return values


@dataclass(frozen=True, slots=True)
class HardSwish:
    """x * min(max(x + 3, 0), 6) / 6 of every value, of a feature map or of features."""

    def output(self, shape: Shape) -> Shape:
        """Return the output shape, which is the input's."""
        return shape


@dataclass(frozen=True, slots=True)
class HardSigmoid:
    """min(max(x + 3, 0), 6) / 6 of every value, of a feature map or of features."""

    def output(self, shape: Shape) -> Shape:
        """Return the output shape, which is the input's."""
        return shape


@dataclass(frozen=True, slots=True)
class Slice:
    """The channels from `start` up to but without `stop`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"0 <= start < stop must hold, but got {self.start}, {self.stop}")

    def output(self, shape: Shape) -> Shape:
        """Return the output shape, which has stop - start channels."""
        if self.stop > shape[0]:
            raise ValueError(f"slice up to channel {self.stop} of {shape[0]}")
        return (self.stop - self.start, *shape[1:])


@dataclass(frozen=True, slots=True)
class Concat:
    """The channels of two or more feature maps of one size, in their order."""

    def output(self, *shapes: Shape) -> Shape:
        """Return the output shape, which has the channels of all."""
        if len({shape[1:] for shape in shapes}) != 1 or len(shapes) < 2:
            raise ValueError(f"two or more maps of one size are joined, but got {shapes}")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maximum over windows; the padding of kernel // 2 on all sides is never the maximum."""

    kernel: int
    stride: int

    def output(self, shape: Shape) -> Shape:
        """Return the output shape for an input (channels, height, width)."""
        return (shape[0], *(strided(size, self.kernel, self.stride) for size in shape[1:]))


@dataclass(frozen=True, slots=True)
class GlobalAvgPool:
    """Mean over height and width: (C, H, W) to (C,)."""

    def output(self, shape: Shape) -> Shape:
        """Return (channels,)."""
        return (shape[0],)


@dataclass(frozen=True, slots=True)
class Linear:
    """Fully connected layer with bias and the activation, if any."""

    in_features: int
    out_features: int
    activation: Activation | None = None

    def output(self, shape: Shape) -> Shape:
        """Return (out_features,)."""
        if shape != (self.in_features,):
            raise ValueError(f"linear layer of {self.in_features} features got shape {shape}")
        return (self.out_features,)


Elementwise: TypeAlias = HardSwish | HardSigmoid
Rearrangement: TypeAlias = Shuffle | Slice | Concat | MaxPool
"""Each value of the result is one of the values that are read."""

Op: TypeAlias = Conv | Add | Multiply | Elementwise | Rearrangement | GlobalAvgPool | Linear


def params(op: Op) -> int:
    """Return the number of trained parameters of `op`."""
    match op:
        case Conv():
            weights = op.out_channels * (op.in_channels // op.groups) * op.kernel**2
            return weights + 2 * op.out_channels
        case Linear():
            return op.out_features * (op.in_features + 1)
        case _:
            return 0


def deployed_params(op: Op) -> int:
    """Return the numbers stored after batch norm is folded into weights and a bias."""
    return params(op) - op.out_channels if isinstance(op, Conv) else params(op)


def biases(op: Op) -> int:
    """Return how many of the deployed parameters are biases."""
    match op:
        case Conv():
            return op.out_channels
        case Linear():
            return op.out_features
        case _:
            return 0


def madds(op: Op, output: Shape) -> int:
    """Return the multiply-accumulates of `op` for its output shape."""
    match op:
        case Conv():
            _, height, width = output
            per_pixel = op.out_channels * (op.in_channels // op.groups) * op.kernel**2
            return per_pixel * height * width
        case _:
            return 0


def values_read(op: Op, *inputs: Shape) -> int:
    """Return how many values `op` reads of inputs of these shapes."""
    if isinstance(op, Slice):
        return math.prod(op.output(*inputs))
    return sum(math.prod(shape) for shape in inputs)
