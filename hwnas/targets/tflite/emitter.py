"""Graph to TFLite, batch norm folded, activations fused, channels last.

Padding is torch's: the same on all sides. TFLite's own "SAME" puts more on the right when a stride
does not divide the size; such a convolution gets a PAD before it, which XNNPACK takes back in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hwnas.graph import INPUT, Conv, file_metadata
from hwnas.targets.shared.walk import Walk
from hwnas.targets.tflite.arithmetic import DENSE, DEPTHWISE, LINEAR, Float, HalfWeights, Int8
from hwnas.targets.tflite.metadata import ENTRY, describe, with_labels
from hwnas.targets.tflite.model import Model, Tensor
from hwnas.targets.tflite.pixels import as_taken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.graph import Activation, Graph, Linear, MaxPool, Node, Shape, Slice
    from hwnas.graph.inputs import Triple
    from hwnas.targets.shared.format import Content

OUTPUT = "logits"

GROUPED_VERSION = 6
"""Of CONV_2D with groups, whatever the arithmetic."""

SAME, VALID = 0, 1

ACTIVATIONS: Mapping[Activation | None, int] = {None: 0, "relu": 1, "relu6": 3}
"""By the schema's enumeration of fused activation functions."""

BYTES_PER_NODE = 2048
"""Of a file beside its weights, generously."""


def emit(content: Content, *, pixels: bool = False) -> bytes:
    """Return the serialised model: (1, H, W, C) "input" to "logits".

    Both are float32, or int8 in 8 bits, whose scales are in the file, where every runtime finds
    them. In fp16 weights are stored in half, and arithmetic stays in float32.

    Args:
        content: a network or a part of one; normalisation and labels go into the metadata,
            TFLite's own included.
        pixels: take pixels of 0 to 1, or uint8 in 8 bits, subtract the mean of the images in the
            file, and give float32; their std has to be 1, see `pixels.adapted`.

    Raises:
        MissingPackage: flatbuffers is not installed.
        CheckFailed: a weight is beyond the range of float16.
    """
    graph, images = content.graph, content.images
    model = Model(graph.weight_bytes + BYTES_PER_NODE * (len(graph) + 1))
    mean = images.mean if images and pixels else None
    emitter = _Emitter(graph, _arithmetic(model, content), from_pixels=mean is not None)
    taken, result = emitter.run(mean)
    images = as_taken(images) if images and pixels else images
    texts = file_metadata(images, content.metadata)
    entries = {name: text.encode() for name, text in texts.items()}
    if images is None:
        return model.finish({INPUT: taken}, {OUTPUT: result}, entries)
    entries[ENTRY] = describe(graph.input_shape, images)
    return with_labels(model.finish({INPUT: taken}, {OUTPUT: result}, entries), images)


def _arithmetic(model: Model, content: Content) -> Float:
    if content.precision == "int8":
        return Int8(model, content.weights, content.in_8_bits)
    return (HalfWeights if content.precision == "fp16" else Float)(model, content.weights)


def channels_last(shape: Shape) -> tuple[int, ...]:
    """Return the shape that a value of the graph has in the file, the batch of one included."""
    return (1, *shape[1:], shape[0])


class _Emitter(Walk[Tensor]):
    """Adds operators to a model; a tensor is declared before the constants it is computed from."""

    def __init__(self, graph: Graph, arithmetic: Float, *, from_pixels: bool) -> None:
        self._graph = graph
        self._arithmetic = arithmetic
        self._model = arithmetic.model
        self._from_pixels = from_pixels

    def run(self, mean: Triple | None) -> tuple[Tensor, Tensor]:
        """Add everything; return input and output.

        Args:
            mean: of the pixels that are to be the input, or None: it is normalised already.
        """
        shape = channels_last(self._graph.input_shape)
        if mean is None:
            taken = self._value(INPUT, shape, stored_as=INPUT)
            return taken, self.output(self._graph, taken)
        taken, source = self._centred(mean, shape)
        result, shape = self.output(self._graph, source), channels_last(self._graph.output.shape)
        return taken, self._arithmetic.scores(OUTPUT, result, shape)

    def conv(self, node: Node, op: Conv, source: Tensor) -> Tensor:
        result = self._result_of(node)
        padding, source = self._padded(node, op, source)
        options = _window(padding, op) | _fused(op.activation)
        order = DEPTHWISE if op.depthwise else DENSE
        sources = [source, *self._arithmetic.weight_and_bias(node, order)]
        if op.depthwise:
            return self._operator(
                "DEPTHWISE_CONV_2D", sources, result, depth_multiplier=1, **options
            )
        version = GROUPED_VERSION if op.groups > 1 else None
        return self._operator("CONV_2D", sources, result, version, **options)

    def shuffle(self, node: Node, groups: int, source: Tensor) -> Tensor:
        result, name = self._result_of(node), node.name
        channels, height, width = node.shape
        split = (height * width, groups, channels // groups)
        grouped = self._value(f"{name}.grouped", split, stored_as=name)
        mixed = self._value(f"{name}.mixed", (split[0], split[2], split[1]), stored_as=name)
        order = self._model.constant(f"{name}.order", np.array([0, 2, 1], np.int32))
        self._reshape(f"{name}.split", source, grouped, split)
        self._operator("TRANSPOSE", [grouped, order], mixed)
        return self._reshape(f"{name}.merged", mixed, result, channels_last(node.shape))

    def add(self, node: Node, left: Tensor, right: Tensor) -> Tensor:
        return self._operator("ADD", [left, right], self._result_of(node))

    def multiply(self, node: Node, source: Tensor, factors: Tensor) -> Tensor:
        return self._operator("MUL", [source, factors], self._result_of(node))

    def hard_swish(self, node: Node, source: Tensor) -> Tensor:
        result = self._result_of(node)
        if self._arithmetic.knows_hard_swish:
            return self._operator("HARD_SWISH", [source], result)
        scales = self._arithmetic.up_to(1)
        gate = self._model.value(f"{node.name}.gate", channels_last(node.shape), scales)
        self._hard_sigmoid(node, source, gate)
        return self._operator("MUL", [source, gate], result)

    def hard_sigmoid(self, node: Node, source: Tensor) -> Tensor:
        return self._hard_sigmoid(node, source, self._result_of(node))

    def slice(self, node: Node, op: Slice, source: Tensor) -> Tensor:
        result, size = self._result_of(node), channels_last(node.shape)
        bounds = {"begin": [0] * (len(size) - 1) + [op.start], "size": size}
        constants = [
            self._model.constant(f"{node.name}.{what}", np.array(numbers, np.int32))
            for what, numbers in bounds.items()
        ]
        return self._operator("SLICE", [source, *constants], result)

    def concat(self, node: Node, *sources: Tensor) -> Tensor:
        result = self._result_of(node)
        return self._operator("CONCATENATION", sources, result, axis=len(node.shape))

    def max_pool(self, node: Node, op: MaxPool, source: Tensor) -> Tensor:
        result = self._result_of(node)
        padding, source = self._padded(node, op, source)
        options = _window(padding, op) | {"filter_width": op.kernel, "filter_height": op.kernel}
        return self._operator("MAX_POOL_2D", [source], result, **options)

    def global_avg_pool(self, node: Node, source: Tensor) -> Tensor:
        result = self._result_of(node)
        axes = self._model.constant(f"{node.name}.axes", np.array([1, 2], np.int32))
        return self._operator("MEAN", [source, axes], result, keep_dims=False)

    def linear(self, node: Node, op: Linear, source: Tensor) -> Tensor:
        result = self._result_of(node)
        sources = [source, *self._arithmetic.weight_and_bias(node, LINEAR)]
        return self._operator("FULLY_CONNECTED", sources, result, **_fused(op.activation))

    def _result_of(self, node: Node) -> Tensor:
        is_output = node is self._graph.output and not self._from_pixels
        name = OUTPUT if is_output else node.name
        return self._value(name, channels_last(node.shape), stored_as=node.name)

    def _centred(self, mean: Triple, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the input, which are pixels, and these less their mean."""
        taken, source = self._arithmetic.pixels(INPUT, shape)
        less = self._arithmetic.colour("minus.mean", [-each for each in mean])
        result = self._value(f"{INPUT}.centred", shape, stored_as=INPUT)
        return taken, self._operator("ADD", [source, less], result)

    def _hard_sigmoid(self, node: Node, source: Tensor, result: Tensor) -> Tensor:
        """Add relu6(x + 3) / 6: TFLite has no operator for it."""
        name, shape = f"{node.name}.sum", channels_last(node.shape)
        total = self._model.value(name, shape, self._arithmetic.up_to(6))
        three = self._arithmetic.number(f"{node.name}.three", 3)
        sixth = self._arithmetic.number(f"{node.name}.sixth", 1 / 6)
        self._operator("ADD", [source, three], total, **_fused("relu6"))
        return self._operator("MUL", [total, sixth], result)

    def _padded(self, node: Node, op: Conv | MaxPool, source: Tensor) -> tuple[int, Tensor]:
        """Return the padding scheme and what the windows are laid over."""
        channels, *sizes = self._graph.shape_of(node.inputs[0])
        if all(_same_is_symmetric(size, op) for size in sizes):
            return SAME, source
        pad = op.kernel // 2
        amounts = np.array([[0, 0], [pad, pad], [pad, pad], [0, 0]], np.int32)
        constant = self._model.constant(f"{node.name}.pad", amounts)
        shape = (1, *(size + 2 * pad for size in sizes), channels)
        padded = self._value(f"{node.name}.padded", shape, stored_as=node.inputs[0])
        if isinstance(op, Conv) or self._graph.never_negative(node.inputs[0]):
            self._operator("PAD", [source, constant], padded)
        else:  # XNNPACK does not take this operator, so that the network runs in two parts.
            lowest = self._arithmetic.lowest(f"{node.name}.lowest", node.inputs[0])
            self._operator("PADV2", [source, constant, lowest], padded)
        return VALID, padded

    def _reshape(self, name: str, source: Tensor, result: Tensor, shape: Sequence[int]) -> Tensor:
        constant = self._model.constant(name, np.array(shape, np.int32))
        new_shape = self._model.integers(shape)
        return self._operator("RESHAPE", [source, constant], result, new_shape=new_shape)

    def _value(self, name: str, shape: Sequence[int], *, stored_as: str) -> Tensor:
        return self._model.value(name, shape, self._arithmetic.scales(stored_as))

    def _operator(
        self,
        kind: str,
        sources: Sequence[Tensor],
        result: Tensor,
        version: int | None = None,
        **options: int,
    ) -> Tensor:
        version = version or self._arithmetic.versions.get(kind, 1)
        self._model.operator(kind, sources, result, version, **options)
        return result


def _fused(activation: Activation | None) -> dict[str, int]:
    return {"fused_activation_function": ACTIVATIONS[activation]}


def _window(padding: int, op: Conv | MaxPool) -> dict[str, int]:
    return {"padding": padding, "stride_w": op.stride, "stride_h": op.stride}


def _same_is_symmetric(size: int, op: Conv | MaxPool) -> bool:
    """Whether TFLite's SAME pads one dimension as torch does with kernel // 2 on each side."""
    outputs = math.ceil(size / op.stride)
    padding = max((outputs - 1) * op.stride + op.kernel - size, 0)
    return op.kernel % 2 == 1 and padding == 2 * (op.kernel // 2)
