"""The operations of a graph in layers of specification version 1.

ReLU6 has its own layer (clip) only from version 4 on, and so has a reshape that takes any rank;
both are spelled with layers of version 1 here, exactly.
"""
# ruff: noqa: D102 - `Walk` says what each operation is

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.targets.shared.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import Activation, Conv, Linear, MaxPool, Node, Slice, Weights
    from hwnas.graph.inputs import Triple


class Writer(Walk[str]):
    """Adds layers; a value goes by its blob."""

    def __init__(self, builder: Any, weights: Weights, blobs: Mapping[str, str]) -> None:
        """Take what it writes.

        Args:
            builder: of coremltools.
            weights: of every convolution and linear node, for the input as the file has it.
            blobs: of nodes whose result goes by another name than their own.
        """
        self._builder, self._weights, self._blobs = builder, weights, blobs

    def divided(self, source: str, std: Triple) -> str:
        """Scale the channels of the input for all its readers."""
        target, scale = f"{source}.scaled", 1 / np.asarray(std)
        self._builder.add_scale(target, scale, None, False, source, target, [len(std)])
        return target

    def conv(self, node: Node, op: Conv, source: str) -> str:
        weight, bias = self._weights[node.name]
        result = self._before(op.activation, node, "conv")
        self._builder.add_convolution(
            result,
            kernel_channels=op.in_channels // op.groups,
            output_channels=op.out_channels,
            # "same" would pad stride 2 at the bottom right only.
            border_mode="valid",
            groups=op.groups,
            W=weight.transpose(2, 3, 1, 0),
            b=bias,
            has_bias=True,
            input_name=source,
            output_name=result,
            **_window(op),
        )
        return self._activated(node, op.activation, result)

    def shuffle(self, node: Node, groups: int, source: str) -> str:
        channels, height, width = node.shape
        split, swapped = f"{node.name}.split", f"{node.name}.swapped"
        shape = (groups, channels // groups, height * width)
        self._builder.add_reshape(split, source, split, shape, mode=0)
        # Axes are sequence, channel, height, width.
        self._builder.add_permute(swapped, (0, 2, 1, 3), split, swapped)
        target = self._blob(node)
        self._builder.add_reshape(target, swapped, target, node.shape, mode=0)
        return target

    def add(self, node: Node, left: str, right: str) -> str:
        return self._elementwise(node, "ADD", left, right)

    def multiply(self, node: Node, source: str, factors: str) -> str:
        # The factors (C, 1, 1) are repeated over the feature map, which comes first.
        return self._elementwise(node, "MULTIPLY", source, factors)

    def hard_swish(self, node: Node, source: str) -> str:
        gate = self._hard_sigmoid(source, f"{node.name}.gate")
        return self._elementwise(node, "MULTIPLY", source, gate)

    def hard_sigmoid(self, node: Node, source: str) -> str:
        return self._hard_sigmoid(source, self._blob(node))

    def slice(self, node: Node, op: Slice, source: str) -> str:
        target = self._blob(node)
        self._builder.add_slice(target, source, target, "channel", op.start, op.stop)
        return target

    def concat(self, node: Node, *sources: str) -> str:
        return self._elementwise(node, "CONCAT", *sources)

    def max_pool(self, node: Node, op: MaxPool, source: str) -> str:
        target = self._blob(node)
        self._builder.add_pooling(
            target,
            layer_type="MAX",
            padding_type="VALID",
            input_name=source,
            output_name=target,
            **_window(op),
        )
        return target

    def global_avg_pool(self, node: Node, source: str) -> str:
        target = self._blob(node)
        self._builder.add_pooling(
            target, 0, 0, 1, 1, "AVERAGE", "VALID", source, target, is_global=True
        )
        return target

    def linear(self, node: Node, op: Linear, source: str) -> str:
        weight, bias = self._weights[node.name]
        result = self._before(op.activation, node, "linear")
        self._builder.add_inner_product(
            result,
            W=weight,
            b=bias,
            input_channels=op.in_features,
            output_channels=op.out_features,
            has_bias=True,
            input_name=source,
            output_name=result,
        )
        return self._activated(node, op.activation, result)

    def _blob(self, node: Node) -> str:
        return self._blobs.get(node.name, node.name)

    def _before(self, activation: Activation | None, node: Node, what: str) -> str:
        """Return the blob of a sum whose activation, if any, gives the node's."""
        return self._blob(node) if activation is None else f"{node.name}.{what}"

    def _activated(self, node: Node, activation: Activation | None, source: str) -> str:
        target = self._blob(node)
        match activation:
            case "relu6":
                self._relu6(node.name, source, target)
            case "relu":
                self._builder.add_activation(target, "RELU", source, target)
        return target

    def _relu6(self, name: str, source: str, target: str) -> None:
        """Add min(6, x) as -max(-6, -x), after max(0, x)."""
        positive, negated = f"{name}.relu", f"{name}.negated"
        self._builder.add_activation(positive, "RELU", source, positive)
        self._builder.add_unary(negated, positive, negated, "threshold", alpha=-6.0, scale=-1.0)
        self._builder.add_activation(target, "LINEAR", negated, target, [-1.0, 0.0])

    def _elementwise(self, node: Node, kind: str, *sources: str) -> str:
        target = self._blob(node)
        self._builder.add_elementwise(target, list(sources), target, kind)
        return target

    def _hard_sigmoid(self, source: str, target: str) -> str:
        self._builder.add_activation(target, "SIGMOID_HARD", source, target, [1 / 6, 0.5])
        return target


def _window(op: Conv | MaxPool) -> dict[str, int]:
    pad = op.kernel // 2
    return {
        "height": op.kernel,
        "width": op.kernel,
        "stride_height": op.stride,
        "stride_width": op.stride,
        "padding_top": pad,
        "padding_bottom": pad,
        "padding_left": pad,
        "padding_right": pad,
    }
