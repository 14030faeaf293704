"""The operations of a graph in layers of specification version 1.

ReLU6 has its own layer (clip) only from version 4 on, and so has a reshape that takes any rank;
both are spelled with layers of version 1 here, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    from hwnas.graph import Activation, Node, Weights
    from hwnas.graph.inputs import Triple


@dataclass(frozen=True, slots=True)
class Writer:
    """Adds the layers of a node; the blob of a value has its name unless `blobs` has another."""

    builder: Any
    weights: Weights
    blobs: dict[str, str]

    def add(self, node: Node) -> None:  # noqa: C901 - one case per operation
        """Add the layers of `node`, whose inputs were added before."""
        target = self._blob(node.name)
        sources = [self._blob(name) for name in node.inputs]
        match node.op:
            case Conv():
                self._conv(node.name, node.op, sources[0], target)
            case Shuffle():
                self._shuffle(node, node.op.groups, sources[0], target)
            case Add():
                self.builder.add_elementwise(target, sources, target, "ADD")
            case Multiply():
                # The factors (C, 1, 1) are repeated over the feature map, which comes first.
                self.builder.add_elementwise(target, sources, target, "MULTIPLY")
            case HardSwish():
                gate = f"{node.name}.gate"
                self._hard_sigmoid(sources[0], gate)
                self.builder.add_elementwise(target, [sources[0], gate], target, "MULTIPLY")
            case HardSigmoid():
                self._hard_sigmoid(sources[0], target)
            case Slice(start, stop):
                self.builder.add_slice(target, sources[0], target, "channel", start, stop)
            case Concat():
                self.builder.add_elementwise(target, sources, target, "CONCAT")
            case MaxPool():
                self._max_pool(node.op, sources[0], target)
            case GlobalAvgPool():
                self._global_avg_pool(sources[0], target)
            case Linear():
                self._linear(node.name, node.op, sources[0], target)

    def divide_input(self, std: Triple) -> None:
        """Scale the channels of the input for all its readers."""
        source, target = self.blobs[INPUT], f"{self.blobs[INPUT]}.scaled"
        shape = [len(std)]
        scale = 1 / np.asarray(std)
        self.builder.add_scale(target, scale, None, False, source, target, shape)
        self.blobs[INPUT] = target

    def _blob(self, name: str) -> str:
        return self.blobs.get(name, name)

    def _conv(self, name: str, op: Conv, source: str, target: str) -> None:
        weight, bias = self.weights[name]
        result = target if op.activation is None else f"{name}.conv"
        pad = op.kernel // 2
        self.builder.add_convolution(
            result,
            kernel_channels=op.in_channels // op.groups,
            output_channels=op.out_channels,
            height=op.kernel,
            width=op.kernel,
            stride_height=op.stride,
            stride_width=op.stride,
            # "same" would pad stride 2 at the bottom right only.
            border_mode="valid",
            padding_top=pad,
            padding_bottom=pad,
            padding_left=pad,
            padding_right=pad,
            groups=op.groups,
            W=weight.transpose(2, 3, 1, 0),
            b=bias,
            has_bias=True,
            input_name=source,
            output_name=result,
        )
        self._activation(name, op.activation, result, target)

    def _activation(
        self, name: str, activation: Activation | None, source: str, target: str
    ) -> None:
        match activation:
            case "relu6":
                self._relu6(name, source, target)
            case "relu":
                self.builder.add_activation(target, "RELU", source, target)

    def _relu6(self, name: str, source: str, target: str) -> None:
        """Add min(6, x) as -max(-6, -x), after max(0, x)."""
        positive, negated = f"{name}.relu", f"{name}.negated"
        self.builder.add_activation(positive, "RELU", source, positive)
        self.builder.add_unary(negated, positive, negated, "threshold", alpha=-6.0, scale=-1.0)
        self.builder.add_activation(target, "LINEAR", negated, target, [-1.0, 0.0])

    def _shuffle(self, node: Node, groups: int, source: str, target: str) -> None:
        channels, height, width = node.shape
        split, swapped = f"{node.name}.split", f"{node.name}.swapped"
        self.builder.add_reshape(
            split, source, split, (groups, channels // groups, height * width), mode=0
        )
        # Axes are sequence, channel, height, width.
        self.builder.add_permute(swapped, (0, 2, 1, 3), split, swapped)
        self.builder.add_reshape(target, swapped, target, node.shape, mode=0)

    def _hard_sigmoid(self, source: str, target: str) -> None:
        self.builder.add_activation(target, "SIGMOID_HARD", source, target, [1 / 6, 0.5])

    def _max_pool(self, op: MaxPool, source: str, target: str) -> None:
        pad = op.kernel // 2
        self.builder.add_pooling(
            target,
            height=op.kernel,
            width=op.kernel,
            stride_height=op.stride,
            stride_width=op.stride,
            layer_type="MAX",
            padding_type="VALID",
            input_name=source,
            output_name=target,
            padding_top=pad,
            padding_bottom=pad,
            padding_left=pad,
            padding_right=pad,
        )

    def _global_avg_pool(self, source: str, target: str) -> None:
        self.builder.add_pooling(
            target, 0, 0, 1, 1, "AVERAGE", "VALID", source, target, is_global=True
        )

    def _linear(self, name: str, op: Linear, source: str, target: str) -> None:
        weight, bias = self.weights[name]
        result = target if op.activation is None else f"{name}.linear"
        self.builder.add_inner_product(
            result,
            W=weight,
            b=bias,
            input_channels=op.in_features,
            output_channels=op.out_features,
            has_bias=True,
            input_name=source,
            output_name=result,
        )
        self._activation(name, op.activation, result, target)
