"""The operations of an ML Program for each node of a graph, by coremltools' builder of MIL.

Every value and constant is written in the type that it is to have on the device. coremltools' own
conversion to float16 is not used: it changes weights that would vanish.
"""
# ruff: noqa: D102 - `Walk` says what each operation is

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.targets.mlprogram.storage import in_8_bits, takes_8_bits
from hwnas.targets.shared.half import half
from hwnas.targets.shared.walk import Walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.graph import Activation, Conv, Linear, MaxPool, Node, Slice, Weights


class Writer(Walk[Any]):
    """Adds operations to the program that is being built."""

    def __init__(self, builder: Any, weights: Weights, precision: str) -> None:
        """Take what it writes.

        Args:
            builder: of coremltools, within a program.
            weights: of every convolution and linear node, for the input as the program has it.
            precision: "fp32", "fp16" or "int8".
        """
        self._builder, self._weights, self._precision = builder, weights, precision

    def begin(self, image: Any) -> Any:
        """Return float32 values in the type that the program computes in."""
        if self._precision == "fp32":
            return image
        return self._builder.cast(x=image, dtype="fp16", name="image.fp16")

    def end(self, scores: Any) -> Any:
        """Return scores in float32: a softmax in float16 would cost digits and save nothing."""
        if self._precision == "fp32":
            return scores
        return self._builder.cast(x=scores, dtype="fp32", name="scores.fp32")

    def conv(self, node: Node, op: Conv, source: Any) -> Any:
        weight, bias = self._weight_and_bias(node.name)
        total = self._builder.conv(
            x=source,
            weight=weight,
            bias=bias,
            strides=[op.stride] * 2,
            pad_type="custom",
            pad=[op.kernel // 2] * 4,
            groups=op.groups,
            name=_before(op.activation, node),
        )
        return self._activated(node, op.activation, total)

    def shuffle(self, node: Node, groups: int, source: Any) -> Any:
        channels, height, width = node.shape
        name, split = node.name, [1, groups, channels // groups, height, width]
        grouped = self._builder.reshape(x=source, shape=split, name=f"{name}.split")
        mixed = self._builder.transpose(x=grouped, perm=[0, 2, 1, 3, 4], name=f"{name}.swapped")
        return self._builder.reshape(x=mixed, shape=[1, channels, height, width], name=name)

    def add(self, node: Node, left: Any, right: Any) -> Any:
        return self._builder.add(x=left, y=right, name=node.name)

    def multiply(self, node: Node, source: Any, factors: Any) -> Any:
        shape = [1, node.shape[0], 1, 1]
        column = self._builder.reshape(x=factors, shape=shape, name=f"{node.name}.factors")
        return self._builder.mul(x=source, y=column, name=node.name)

    def hard_swish(self, node: Node, source: Any) -> Any:
        gate = self._hard_sigmoid(f"{node.name}.gate", source)
        return self._builder.mul(x=source, y=gate, name=node.name)

    def hard_sigmoid(self, node: Node, source: Any) -> Any:
        return self._hard_sigmoid(node.name, source)

    def slice(self, node: Node, op: Slice, source: Any) -> Any:
        others = [0] * (len(node.shape) - 1)
        whole = [True, False, *[True] * len(others)]
        return self._builder.slice_by_index(
            x=source,
            begin=[0, op.start, *others],
            end=[0, op.stop, *others],
            begin_mask=whole,
            end_mask=whole,
            name=node.name,
        )

    def concat(self, node: Node, *sources: Any) -> Any:
        return self._builder.concat(values=list(sources), axis=1, name=node.name)

    def max_pool(self, node: Node, op: MaxPool, source: Any) -> Any:
        return self._builder.max_pool(
            x=source,
            kernel_sizes=[op.kernel] * 2,
            strides=[op.stride] * 2,
            pad_type="custom",
            pad=[op.kernel // 2] * 4,
            name=node.name,
        )

    def global_avg_pool(self, node: Node, source: Any) -> Any:
        return self._builder.reduce_mean(x=source, axes=[2, 3], keep_dims=False, name=node.name)

    def linear(self, node: Node, op: Linear, source: Any) -> Any:
        weight, bias = self._weight_and_bias(node.name)
        name = _before(op.activation, node)
        total = self._builder.linear(x=source, weight=weight, bias=bias, name=name)
        return self._activated(node, op.activation, total)

    def _activated(self, node: Node, activation: Activation | None, total: Any) -> Any:
        match activation:
            case "relu6":
                return self._builder.relu6(x=total, name=node.name)
            case "relu":
                return self._builder.relu(x=total, name=node.name)
            case None:
                return total

    def _hard_sigmoid(self, name: str, source: Any) -> Any:
        kind = np.float32 if self._precision == "fp32" else np.float16
        return self._builder.sigmoid_hard(x=source, alpha=kind(1 / 6), beta=kind(0.5), name=name)

    def _weight_and_bias(self, name: str) -> tuple[Any, NDArray[Any]]:
        weight, bias = self._weights[name]
        if self._precision == "fp32":
            return weight, bias
        if self._precision == "int8" and takes_8_bits(weight):
            return self._quantised(name, weight), half(bias, name)
        return half(weight, name), half(bias, name)

    def _quantised(self, name: str, weight: NDArray[np.float32]) -> Any:
        whole, scales = in_8_bits(weight, name)
        return self._builder.constexpr_affine_dequantize(
            quantized_data=whole,
            scale=scales,
            zero_point=np.zeros(len(scales), np.int8),
            axis=np.int32(0),
            name=f"{name}.weight",
        )


def _before(activation: Activation | None, node: Node) -> str:
    """Return the name of a sum whose activation, if any, takes the name of the node."""
    return node.name if activation is None else f"{node.name}.linear"
