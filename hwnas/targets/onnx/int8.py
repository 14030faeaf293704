"""The operations of a graph as 8-bit ONNX nodes, in the QDQ form.

Every value goes through QuantizeLinear and DequantizeLinear (uint8); weights are int8 behind a
DequantizeLinear of their own. ONNX Runtime turns them into integer kernels. Channel shuffles are
written channels last, as its integer convolutions work: its own transpositions then cancel with the
file's, and what is left of a shuffle is one transposition of neighbouring axes instead of two
across the whole feature map.

What a squeeze-and-excitation computes is one number per channel. It stays an image of one pixel,
and its linear layers are convolutions: channels last like all others, so that nothing has to be
rearranged on the way into it and out of it.

There is no integer kernel for a hard sigmoid; it is the sum x + 3 in the 256 steps of 0 to 6, which
cut off what lies outside, read again as 256 steps of 0 to 1.
"""

# ruff: noqa: D102 - `Walk` says what each operation is

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.graph import GlobalAvgPool, HardSigmoid, HardSwish, Linear, Multiply, Shuffle, Slice
from hwnas.targets.onnx.float32 import Float, conv_attributes
from hwnas.targets.onnx.model import OUTPUT
from hwnas.targets.shared.quantisation import LEVELS, Affine, between, clamps, integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.graph import Activation, Conv, Graph, Node
    from hwnas.targets.onnx.model import Model
    from hwnas.targets.shared.format import Content

TO_CHANNELS_LAST, TO_CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


class Int8(Float):
    """Adds nodes to a model.

    A value `x` of the graph is `x.exact` before its 8 bits, `x.real` behind them. A shuffle that
    is only read by slices stays channels last; ONNX Runtime would not join the two by itself.
    """

    def __init__(self, model: Model, content: Content) -> None:
        super().__init__(model, content)
        self._stored = content.in_8_bits
        self._channels_last = _only_sliced(content.graph)
        self._single_pixels = _single_pixels(content.graph)

    def finished(self, name: str, value: str) -> str:
        """Bring a value of the graph to 8 bits and back, unless it has been there."""
        if name in self._channels_last or value == self._real_name(name):
            return value
        return self._through_8_bits(value, self._stored[name], self._real_name(name))

    def conv(self, node: Node, op: Conv, source: str) -> str:
        inputs = [source, *self._weight_and_bias(node)]
        exact = self._model.node("Conv", inputs, self._result_of(node), **conv_attributes(op))
        return self._clamped(node.name, op.activation, exact)

    def shuffle(self, node: Node, groups: int, source: str) -> str:
        rows = self._shuffled(node, groups, source)
        if node.name in self._channels_last:
            return rows
        return self._model.node("Transpose", [rows], self._result_of(node), perm=TO_CHANNELS_FIRST)

    def multiply(self, node: Node, source: str, factors: str) -> str:
        if node.inputs[1] not in self._single_pixels:
            factors = self._spread(factors, f"{node.name}.spread")
            stored = self._stored[node.inputs[1]]
            factors = self._through_8_bits(factors, stored, f"{factors}.real")
        return self._model.node("Mul", [source, factors], self._result_of(node))

    def hard_swish(self, node: Node, source: str) -> str:
        gate = self._hard_sigmoid(source, f"{node.name}.gate")
        return self._model.node("Mul", [source, gate], self._result_of(node))

    def hard_sigmoid(self, node: Node, source: str) -> str:
        return self._hard_sigmoid(source, self._real_name(node.name))

    def slice(self, node: Node, op: Slice, source: str) -> str:
        if node.inputs[0] not in self._channels_last:
            return super().slice(node, op, source)
        kept = self._sliced(node, op, source, f"{node.name}.kept", axis=3)
        kept = self._through_8_bits(kept, self._stored[node.name], f"{kept}.real")
        return self._model.node("Transpose", [kept], self._result_of(node), perm=TO_CHANNELS_FIRST)

    def global_avg_pool(self, node: Node, source: str) -> str:
        result = self._result_of(node)
        if node.name in self._single_pixels:
            return self._model.node("GlobalAveragePool", [source], result)
        spatial = self._model.node("GlobalAveragePool", [source], f"{node.name}.spatial")
        spatial = self._through_8_bits(spatial, self._stored[node.name], f"{spatial}.real")
        return self._model.node("Flatten", [spatial], result, axis=1)

    def linear(self, node: Node, op: Linear, source: str) -> str:
        inputs, result = [source, *self._weight_and_bias(node)], self._result_of(node)
        if node.name in self._single_pixels:
            self._model.node("Conv", inputs, result, kernel_shape=[1, 1])
        else:
            self._model.node("Gemm", inputs, result, transB=1)
        return self._clamped(node.name, op.activation, result)

    def _result_of(self, node: Node) -> str:
        return f"{node.name}.exact"

    def _real_name(self, name: str) -> str:
        return OUTPUT if name == self._output else f"{name}.real"

    def _clamped(self, name: str, activation: Activation | None, source: str) -> str:
        if activation is None or clamps(self._stored[name], activation):
            return source
        return self._clamp(activation, source, f"{name}.clamped")

    def _hard_sigmoid(self, source: str, result: str) -> str:
        """Add a hard sigmoid; its result has been through 8 bits."""
        whole, real = self._model.constant("three.integer", np.uint8(LEVELS)), between(0, 3)
        scale, zero = self._affine("three", real)
        three = self._model.node("DequantizeLinear", [whole, scale, zero], f"{result}.three")
        total = self._model.node("Add", [source, three], f"{result}.sum")
        return self._through_8_bits(total, between(0, 6), result, read_as=between(0, 1))

    def _shuffled(self, node: Node, groups: int, source: str) -> str:
        """Add a shuffle that ends channels last; its result has been through 8 bits."""
        channels, height, width = node.shape
        split = (1, height * width, groups, channels // groups)
        steps = (
            ("Transpose", TO_CHANNELS_LAST),
            ("Reshape", split),
            ("Transpose", (0, 1, 3, 2)),
            ("Reshape", (1, height, width, channels)),
        )
        for number, (kind, numbers) in enumerate(steps):
            result = f"{node.name}.step{number}"
            if kind == "Transpose":
                self._model.node(kind, [source], result, perm=numbers)
            else:
                self._reshape(f"{result}.shape", source, result, [*numbers])
            source = self._through_8_bits(result, self._stored[node.name], f"{result}.real")
        return source

    def _weight_and_bias(self, node: Node) -> tuple[str, str]:
        name, (weight, bias) = node.name, self._weights[node.name]
        if name in self._single_pixels:
            weight = weight[:, :, None, None]
        input_scale = self._stored[node.inputs[0]].scale
        whole = integers(weight, bias, input_scale)
        scales = self._model.constant(f"{name}.weight.scales", whole.scales)
        return (
            self._dequantised(f"{name}.weight", whole.weight, scales),
            self._dequantised(
                f"{name}.bias",
                whole.bias,
                self._model.constant(f"{name}.bias.scales", input_scale * whole.scales),
            ),
        )

    def _dequantised(self, name: str, value: NDArray[np.integer], scales: str) -> str:
        """Add integers with one scale per first axis; return the name of their real values."""
        zeros = self._model.constant(f"{name}.zeros", np.zeros(len(value), value.dtype))
        inputs = [self._model.constant(f"{name}.integers", value), scales, zeros]
        return self._model.node("DequantizeLinear", inputs, name, axis=0)

    def _through_8_bits(
        self, source: str, stored: Affine, result: str, read_as: Affine | None = None
    ) -> str:
        """Bring a value to integers and back, as another one if `read_as` is given."""
        written = self._affine(result, stored)
        read = written if read_as is None else self._affine(f"{result}.read", read_as)
        bits = self._model.node("QuantizeLinear", [source, *written], f"{result}.bits")
        return self._model.node("DequantizeLinear", [bits, *read], result)

    def _affine(self, name: str, stored: Affine) -> tuple[str, str]:
        scale = self._model.constant(f"{name}.scale", stored.scale)
        return scale, self._model.constant(f"{name}.zero", np.uint8(stored.zero_point))


def _only_sliced(graph: Graph) -> set[str]:
    """Return the shuffles that nothing but slices read."""
    shuffles = {node.name for node in graph if isinstance(node.op, Shuffle)}
    others = (name for node in graph if not isinstance(node.op, Slice) for name in node.inputs)
    return shuffles - {graph.output.name, *others}


def _single_pixels(graph: Graph) -> set[str]:
    """Return the vectors that nothing reads but, in the end, factors of feature maps."""
    found: set[str] = set()
    readers: dict[str, list[Node]] = {}
    for node in reversed(graph.nodes):
        if isinstance(node.op, GlobalAvgPool | Linear | HardSwish | HardSigmoid):
            own = readers.get(node.name, [])
            if len(node.shape) == 1 and own and all(_as_pixel(node, each, found) for each in own):
                found.add(node.name)
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return found


def _as_pixel(node: Node, reader: Node, found: set[str]) -> bool:
    """Return whether a reader takes a vector as an image of one pixel."""
    return reader.name in found or (
        isinstance(reader.op, Multiply) and node.name == reader.inputs[1]
    )
