"""The primitive operations that every network is made of, and what each of them costs.

One MAdd is one multiply-accumulate of a convolution; linear layers, batch norm, activations,
additions and pooling count none (the convention of Xiong et al., ICCV 2019, whose tables these
counts reproduce to the unit). Parameters count everything that is trained: convolution weights,
two per channel for batch norm, and the classifier with its bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Shape: TypeAlias = tuple[int, ...]
"""(channels, height, width) of a feature map, or (features,); the batch is left out."""

Activation: TypeAlias = Literal["relu6", "relu"]
"""What every runtime fuses into the convolution before it: values below 0 or above 6 are cut."""


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
        pad = 2 * (self.kernel // 2)
        return (
            self.out_channels,
            (height + pad - self.kernel) // self.stride + 1,
            (width + pad - self.kernel) // self.stride + 1,
        )


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
class GlobalAvgPool:
    """Mean over height and width: (C, H, W) to (C,)."""

    def output(self, shape: Shape) -> Shape:
        """Return (channels,)."""
        return (shape[0],)


@dataclass(frozen=True, slots=True)
class Linear:
    """Fully connected layer with bias."""

    in_features: int
    out_features: int

    def output(self, shape: Shape) -> Shape:
        """Return (out_features,)."""
        if shape != (self.in_features,):
            raise ValueError(f"linear layer of {self.in_features} features got shape {shape}")
        return (self.out_features,)


Op: TypeAlias = Conv | Shuffle | Add | GlobalAvgPool | Linear


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
