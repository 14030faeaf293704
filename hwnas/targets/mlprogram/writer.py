"""The operations of an ML Program for each node of a graph, by coremltools' builder of MIL.

Every value and constant is written in the type that it is to have on the device. coremltools' own
conversion to float16 is not used: it changes weights that would vanish.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
from hwnas.targets.mlprogram.storage import in_8_bits, takes_8_bits
from hwnas.targets.shared.half import half

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.graph import Activation, Node, Weights


@dataclass(frozen=True, slots=True)
class Writer:
    """Adds operations to the program that is being built.

    Attributes:
        builder: of coremltools, within a program.
        weights: of every convolution and linear node, for the input as the program has it.
        precision: "fp32", "fp16" or "int8".
    """

    builder: Any
    weights: Weights
    precision: str

    def add(self, node: Node, sources: list[Any]) -> Any:  # noqa: C901 - one case per operation
        """Return the result of a node."""
        name, first = node.name, sources[0]
        match node.op:
            case Conv() as op:
                return self._conv(name, op, first)
            case Shuffle(groups):
                return self._shuffle(node, groups, first)
            case Add():
                return self.builder.add(x=first, y=sources[1], name=name)
            case Multiply():
                return self._scaled(node, first, sources[1])
            case HardSwish():
                gate = self._hard_sigmoid(f"{name}.gate", first)
                return self.builder.mul(x=first, y=gate, name=name)
            case HardSigmoid():
                return self._hard_sigmoid(name, first)
            case Slice() as op:
                return self._slice(node, op, first)
            case Concat():
                return self.builder.concat(values=sources, axis=1, name=name)
            case MaxPool() as op:
                return self._max_pool(name, op, first)
            case GlobalAvgPool():
                return self.builder.reduce_mean(x=first, axes=[2, 3], keep_dims=False, name=name)
            case Linear() as op:
                return self._linear(name, op, first)
        raise NotImplementedError(type(node.op).__name__)

    def begin(self, image: Any) -> Any:
        """Return float32 values in the type that the program computes in."""
        if self.precision == "fp32":
            return image
        return self.builder.cast(x=image, dtype="fp16", name="image.fp16")

    def end(self, scores: Any) -> Any:
        """Return scores in float32: a softmax in float16 would cost digits and save nothing."""
        if self.precision == "fp32":
            return scores
        return self.builder.cast(x=scores, dtype="fp32", name="scores.fp32")

    def _conv(self, name: str, op: Conv, source: Any) -> Any:
        weight, bias = self._weight_and_bias(name)
        total = self.builder.conv(
            x=source,
            weight=weight,
            bias=bias,
            strides=[op.stride] * 2,
            pad_type="custom",
            pad=[op.kernel // 2] * 4,
            groups=op.groups,
            name=_before(op.activation, name),
        )
        return self._activated(name, op.activation, total)

    def _linear(self, name: str, op: Linear, source: Any) -> Any:
        weight, bias = self._weight_and_bias(name)
        before = _before(op.activation, name)
        total = self.builder.linear(x=source, weight=weight, bias=bias, name=before)
        return self._activated(name, op.activation, total)

    def _activated(self, name: str, activation: Activation | None, total: Any) -> Any:
        match activation:
            case "relu6":
                return self.builder.relu6(x=total, name=name)
            case "relu":
                return self.builder.relu(x=total, name=name)
            case None:
                return total

    def _shuffle(self, node: Node, groups: int, source: Any) -> Any:
        channels, height, width = node.shape
        name, split = node.name, [1, groups, channels // groups, height, width]
        grouped = self.builder.reshape(x=source, shape=split, name=f"{name}.split")
        mixed = self.builder.transpose(x=grouped, perm=[0, 2, 1, 3, 4], name=f"{name}.swapped")
        return self.builder.reshape(x=mixed, shape=[1, channels, height, width], name=name)

    def _scaled(self, node: Node, values: Any, factors: Any) -> Any:
        """Multiply each channel by its factor."""
        shape = [1, node.shape[0], 1, 1]
        column = self.builder.reshape(x=factors, shape=shape, name=f"{node.name}.factors")
        return self.builder.mul(x=values, y=column, name=node.name)

    def _hard_sigmoid(self, name: str, source: Any) -> Any:
        kind = np.float32 if self.precision == "fp32" else np.float16
        return self.builder.sigmoid_hard(x=source, alpha=kind(1 / 6), beta=kind(0.5), name=name)

    def _slice(self, node: Node, op: Slice, source: Any) -> Any:
        """Take some channels, and the other axes as they are."""
        others = [0] * (len(node.shape) - 1)
        whole = [True, False, *[True] * len(others)]
        return self.builder.slice_by_index(
            x=source,
            begin=[0, op.start, *others],
            end=[0, op.stop, *others],
            begin_mask=whole,
            end_mask=whole,
            name=node.name,
        )

    def _max_pool(self, name: str, op: MaxPool, source: Any) -> Any:
        return self.builder.max_pool(
            x=source,
            kernel_sizes=[op.kernel] * 2,
            strides=[op.stride] * 2,
            pad_type="custom",
            pad=[op.kernel // 2] * 4,
            name=name,
        )

    def _weight_and_bias(self, name: str) -> tuple[Any, NDArray[Any]]:
        weight, bias = self.weights[name]
        if self.precision == "fp32":
            return weight, bias
        if self.precision == "int8" and takes_8_bits(weight):
            return self._quantised(name, weight), half(bias, name)
        return half(weight, name), half(bias, name)

    def _quantised(self, name: str, weight: NDArray[np.float32]) -> Any:
        whole, scales = in_8_bits(weight, name)
        return self.builder.constexpr_affine_dequantize(
            quantized_data=whole,
            scale=scales,
            zero_point=np.zeros(len(scales), np.int8),
            axis=np.int32(0),
            name=f"{name}.weight",
        )


def _before(activation: Activation | None, name: str) -> str:
    """Return the name of a sum whose activation, if any, takes the name of the node."""
    return name if activation is None else f"{name}.linear"
