"""How numbers are stored in a TFLite file: what differs between float32, float16 and int8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.targets.shared.half import half
from hwnas.targets.shared.quantisation import LEVELS, Affine, between, integers
from hwnas.targets.tflite.model import Scales
from hwnas.targets.tflite.pixels import in_steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hwnas.graph import Node, Weights
    from hwnas.targets.tflite.model import Model, Tensor

Order = tuple[int, ...]
"""Of the axes of a weight in the file; the first one counts the output channels in the graph."""

DENSE: Order = (0, 2, 3, 1)
DEPTHWISE: Order = (1, 2, 3, 0)
LINEAR: Order = (0, 1)

SIGNED = 128
"""Between the unsigned integers of `Affine` and int8."""

FROM_INT8, FROM_FLOAT16 = 2, 3
"""Versions of DEQUANTIZE by what it reads."""


class Float:
    """Everything in float32."""

    knows_hard_swish = True
    """Whether XNNPACK has a kernel for the operator."""

    versions: Mapping[str, int] = {}
    """Versions of operators, where they are not 1."""

    def __init__(self, model: Model, weights: Weights) -> None:
        self.model = model
        self._weights = weights

    def scales(self, name: str) -> Scales | None:  # noqa: ARG002
        """Return how a value of the graph is stored, or None for float32."""
        return None

    def weight_and_bias(self, node: Node, order: Order) -> tuple[Tensor, Tensor]:
        """Add the constants of a convolution or linear node."""
        weight, bias = self._weights[node.name]
        kernel = self._constant(f"{node.name}.weight", weight.transpose(order))
        return kernel, self._constant(f"{node.name}.bias", bias)

    def up_to(self, high: float) -> Scales | None:  # noqa: ARG002
        """Return how values from 0 to `high` are stored, or None for float32."""
        return None

    def number(self, name: str, value: float) -> Tensor:
        """Add one positive number."""
        return self.model.constant(name, np.array([value], np.float32))

    def lowest(self, name: str, stored_as: str) -> Tensor:  # noqa: ARG002
        """Add the least number that a value of the graph can be."""
        return self.model.constant(name, np.array([np.finfo(np.float32).min], np.float32))

    def pixels(self, name: str, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Add the file's input, pixels of 0 to 1, and return it and what the network reads."""
        source = self.model.value(name, shape)
        return source, source

    def colour(self, name: str, values: Sequence[float]) -> Tensor:
        """Add one number per channel."""
        return self.model.constant(name, np.array(values, np.float32))

    def scores(self, name: str, source: Tensor, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        """Return a result in float32."""
        return source

    def _constant(self, name: str, value: NDArray[np.float32]) -> Tensor:
        return self.model.constant(name, value)


class HalfWeights(Float):
    """Values in float32, weights in float16; raises CheckFailed when one is beyond the range.

    TFLite's own scheme: a DEQUANTIZE behind every constant. XNNPACK takes these in when it loads
    the file, runtimes without it run them once.
    """

    def _constant(self, name: str, value: NDArray[np.float32]) -> Tensor:
        stored = self.model.constant(f"{name}.half", half(value, name))
        restored = self.model.value(name, value.shape)
        self.model.operator("DEQUANTIZE", [stored], restored, FROM_FLOAT16)
        return restored


class Int8(Float):
    """Activations and weights in int8, sums in int32."""

    # XNNPACK leaves it to a plain kernel of LiteRT's, many times slower than three operators are.
    knows_hard_swish = False

    versions: Mapping[str, int] = {
        "ADD": 2,
        "CONCATENATION": 2,
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "FULLY_CONNECTED": 4,
        "MAX_POOL_2D": 2,
        "MEAN": 2,
        "MUL": 2,
        "PAD": 2,
        "PADV2": 2,
        "SLICE": 2,
        "TRANSPOSE": 2,
    }

    def __init__(self, model: Model, weights: Weights, stored: Mapping[str, Affine]) -> None:
        super().__init__(model, weights)
        self._stored = stored

    def scales(self, name: str) -> Scales:
        """Return how a value of the graph is stored."""
        return _signed(self._stored[name])

    def up_to(self, high: float) -> Scales:
        """Return how values from 0 to `high` are stored."""
        return _signed(between(0, high))

    def number(self, name: str, value: float) -> Tensor:
        """Add one positive number: the largest integer of its own scale."""
        return self.model.constant(name, np.array([LEVELS - SIGNED], np.int8), self.up_to(value))

    def lowest(self, name: str, stored_as: str) -> Tensor:
        """Add the least integer."""
        return self.model.constant(name, np.array([-SIGNED], np.int8), self.scales(stored_as))

    def pixels(self, name: str, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Add an input of bytes as images have them, and the same as int8."""
        unit = between(0, 1)
        taken = self.model.value(name, shape, Scales(np.array([unit.scale]), 0), np.uint8)
        source = self.model.value(f"{name}.signed", shape, _signed(unit))
        self.model.operator("QUANTIZE", [taken], source)
        return taken, source

    def colour(self, name: str, values: Sequence[float]) -> Tensor:
        """Add one number per channel."""
        whole, scale = in_steps(values)
        return self.model.constant(name, whole, Scales(np.array([scale], np.float32)))

    def scores(self, name: str, source: Tensor, shape: Sequence[int]) -> Tensor:
        """Return a result in float32."""
        result = self.model.value(name, shape)
        self.model.operator("DEQUANTIZE", [source], result, FROM_INT8)
        return result

    def weight_and_bias(self, node: Node, order: Order) -> tuple[Tensor, Tensor]:
        """Add both; a linear layer has one scale, since older runtimes know no other."""
        weight, bias = self._weights[node.name]
        source = self._stored[node.inputs[0]].scale
        whole = integers(weight, bias, source, per_channel=order != LINEAR)
        scales = whole.scales[:1] if order == LINEAR else whole.scales
        of_weight = Scales(scales, axis=order.index(0))
        kernel = self.model.constant(
            f"{node.name}.weight", whole.weight.transpose(order), of_weight
        )
        return kernel, self.model.constant(f"{node.name}.bias", whole.bias, Scales(source * scales))


def _signed(stored: Affine) -> Scales:
    return Scales(np.array([stored.scale]), stored.zero_point - SIGNED)
