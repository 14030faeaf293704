"""Graph to an 8-bit ONNX model, in the QDQ form that ONNX Runtime turns into integer kernels.

Every value goes through QuantizeLinear and DequantizeLinear (uint8); weights are int8 behind a
DequantizeLinear of their own. Channel shuffles are written channels last, as ONNX Runtime's integer
convolutions work: its own transpositions then cancel with the file's, and what is left of a shuffle
is one transposition of neighbouring axes instead of two across the whole feature map.

What a squeeze-and-excitation computes is one number per channel. It stays an image of one pixel,
and its linear layers are convolutions: channels last like all others, so that nothing has to be
rearranged on the way into it and out of it.

There is no integer kernel for a hard sigmoid; it is the sum x + 3 in the 256 steps of 0 to 6, which
cut off what lies outside, read again as 256 steps of 0 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

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
    file_metadata,
)
from hwnas.targets.onnx.emitter import (
    clamp,
    conv_attributes,
    pool_attributes,
    slice_bounds,
    spread,
)
from hwnas.targets.onnx.model import OUTPUT, Model
from hwnas.targets.shared.quantisation import LEVELS, Affine, between, calibrate, clamps, integers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hwnas.graph import Activation, Graph, ImageInput, Node, Weights


def emit(
    graph: Graph,
    weights: Weights,
    calibration: NDArray[np.float32] | None = None,
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the serialised model: float32 (1, C, H, W) "input" to float32 "logits".

    Args:
        graph: a whole network, or a part of one.
        weights: folded weights of every convolution and linear node.
        calibration: inputs to quantise by, see `quantisation.calibrate`.
        images: normalisation and labels, written into the metadata.
        metadata: further metadata properties.

    Raises:
        MissingPackage: onnx is not installed.
    """
    return emit_stored(graph, weights, calibrate(graph, weights, calibration), images, metadata)


def emit_stored(
    graph: Graph,
    weights: Weights,
    stored: Mapping[str, Affine],
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the same for values that are stored as `quantisation.calibrate` tells."""
    emitter = _Emitter(graph, weights, stored)
    emitter.quantise(INPUT, INPUT)
    for node in graph:
        emitter.add(node)
    return emitter.finish(graph, file_metadata(images, metadata))


TO_CHANNELS_LAST, TO_CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


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


class _Emitter:
    """Writes one operation after the other.

    A value `x` of the graph is `x.exact` before its 8 bits, `x.real` behind them. A shuffle that
    is only read by slices stays channels last; ONNX Runtime would not join the two by itself.
    """

    def __init__(self, graph: Graph, weights: Weights, stored: Mapping[str, Affine]) -> None:
        self._output = graph.output.name
        self._channels_last = _only_sliced(graph)
        self._single_pixels = _single_pixels(graph)
        self._weights = weights
        self._stored = stored
        self._model = Model()
        self._real: dict[str, str] = {}

    def add(self, node: Node) -> None:  # noqa: C901 - one case per operation
        sources = [self._real[name] for name in node.inputs]
        result = f"{node.name}.exact"
        match node.op:
            case Conv() as op:
                inputs = [sources[0], *self._weight_and_bias(node)]
                self._model.node("Conv", inputs, result, **conv_attributes(op))
                result = self._clamped(node.name, op.activation, result)
            case Shuffle(groups):
                rows = self._shuffle(node, groups, sources[0])
                if node.name in self._channels_last:
                    self._real[node.name] = rows
                    return
                self._model.node("Transpose", [rows], result, perm=TO_CHANNELS_FIRST)
            case Add():
                self._model.node("Add", sources, result)
            case Multiply():
                self._model.node("Mul", [sources[0], self._factors(node, sources[1])], result)
            case HardSwish():
                gate = self._hard_sigmoid(sources[0], f"{node.name}.gate")
                self._model.node("Mul", [sources[0], gate], result)
            case HardSigmoid():
                self._real[node.name] = self._hard_sigmoid(sources[0], self._real_name(node.name))
                return
            case Slice() as op:
                self._slice(node, op, sources[0], result)
            case Concat():
                self._model.node("Concat", sources, result, axis=1)
            case MaxPool() as op:
                self._model.node("MaxPool", sources, result, **pool_attributes(op))
            case GlobalAvgPool() if node.name in self._single_pixels:
                self._model.node("GlobalAveragePool", sources, result)
            case GlobalAvgPool():
                spatial = self._model.node("GlobalAveragePool", sources, f"{node.name}.spatial")
                spatial = self._through_8_bits(spatial, self._stored[node.name], f"{spatial}.real")
                self._model.node("Flatten", [spatial], result, axis=1)
            case Linear() as op:
                inputs = [sources[0], *self._weight_and_bias(node)]
                if node.name in self._single_pixels:
                    self._model.node("Conv", inputs, result, kernel_shape=[1, 1])
                else:
                    self._model.node("Gemm", inputs, result, transB=1)
                result = self._clamped(node.name, op.activation, result)
            case _:
                assert_never(node.op)
        self.quantise(node.name, result)

    def quantise(self, name: str, source: str) -> None:
        """Bring a value of the graph to 8 bits and back."""
        stored = self._stored[name]
        self._real[name] = self._through_8_bits(source, stored, self._real_name(name))

    def finish(self, graph: Graph, metadata: Mapping[str, str]) -> bytes:
        return self._model.finish(graph, metadata)

    def _real_name(self, name: str) -> str:
        return OUTPUT if name == self._output else f"{name}.real"

    def _clamped(self, name: str, activation: Activation | None, source: str) -> str:
        if activation is None or clamps(self._stored[name], activation):
            return source
        return clamp(self._model, activation, source, f"{name}.clamped")

    def _hard_sigmoid(self, source: str, result: str) -> str:
        """Add a hard sigmoid; its result has been through 8 bits."""
        whole, real = self._model.constant("three.integer", np.uint8(LEVELS)), between(0, 3)
        scale, zero = self._affine("three", real)
        three = self._model.node("DequantizeLinear", [whole, scale, zero], f"{result}.three")
        total = self._model.node("Add", [source, three], f"{result}.sum")
        return self._through_8_bits(total, between(0, 6), result, read_as=between(0, 1))

    def _shuffle(self, node: Node, groups: int, source: str) -> str:
        """Add a shuffle that ends channels last; its result has been through 8 bits."""
        channels, height, width = node.shape
        split = (1, height * width, groups, channels // groups)
        steps: Sequence[tuple[str, Sequence[int]]] = (
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
                shape = self._model.constant(f"{result}.shape", np.array(numbers, np.int64))
                self._model.node(kind, [source, shape], result)
            source = self._through_8_bits(result, self._stored[node.name], f"{result}.real")
        return source

    def _slice(self, node: Node, op: Slice, source: str, result: str) -> None:
        if node.inputs[0] not in self._channels_last:
            bounds = slice_bounds(self._model, node.name, op)
            self._model.node("Slice", [source, *bounds], result)
            return
        bounds = slice_bounds(self._model, node.name, op, axis=3)
        kept = self._model.node("Slice", [source, *bounds], f"{node.name}.kept")
        kept = self._through_8_bits(kept, self._stored[node.name], f"{kept}.real")
        self._model.node("Transpose", [kept], result, perm=TO_CHANNELS_FIRST)

    def _factors(self, node: Node, source: str) -> str:
        """Return the factors of a product as an image of one pixel."""
        if node.inputs[1] in self._single_pixels:
            return source
        factors = spread(self._model, source, f"{node.name}.spread")
        return self._through_8_bits(factors, self._stored[node.inputs[1]], f"{factors}.real")

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
