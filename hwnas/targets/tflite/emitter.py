"""Graph to TFLite, batch norm folded, activations fused, channels last.

Padding is torch's: the same on all sides. TFLite's own "SAME" puts more on the right when a stride
does not divide the size; such a convolution gets a PAD before it, which XNNPACK takes back in.
"""

from __future__ import annotations

import math
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
from hwnas.targets.tflite.arithmetic import DENSE, DEPTHWISE, LINEAR, Arithmetic, Float
from hwnas.targets.tflite.metadata import ENTRY, describe, with_labels
from hwnas.targets.tflite.model import Model, Tensor
from hwnas.targets.tflite.pixels import as_taken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.graph import Activation, Graph, ImageInput, Node, Shape, Weights
    from hwnas.graph.inputs import Triple

OUTPUT = "logits"

GROUPED_VERSION = 6
"""Of CONV_2D with groups, whatever the arithmetic."""

SAME, VALID = 0, 1

ACTIVATIONS: Mapping[Activation | None, int] = {None: 0, "relu": 1, "relu6": 3}
"""By the schema's enumeration of fused activation functions."""

BYTES_PER_NODE = 2048
"""Of a file beside its weights, generously."""


def emit(
    graph: Graph,
    weights: Weights,
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    pixels: bool = False,
) -> bytes:
    """Return the serialised model: float32 (1, H, W, C) "input" to "logits".

    Args:
        graph: a whole network, or a part of one.
        weights: folded weights of every convolution and linear node.
        images: normalisation and labels, written into the metadata, TFLite's own included.
        metadata: further metadata entries.
        pixels: take pixels of 0 to 1 and subtract the mean of `images` in the file; their std has
            to be 1, see `pixels.adapted`.

    Raises:
        MissingPackage: flatbuffers is not installed.
    """
    return emit_with(Float(weights), graph, images, metadata, pixels=pixels)


def emit_with(
    arithmetic: Arithmetic,
    graph: Graph,
    images: ImageInput | None,
    metadata: Mapping[str, str] | None,
    *,
    pixels: bool = False,
) -> bytes:
    """Return the serialised model in an arithmetic that holds its weights."""
    emitter = _Emitter(graph, arithmetic, images.mean if images and pixels else None)
    for node in graph:
        emitter.add(node)
    images = as_taken(images) if images and pixels else images
    texts = file_metadata(images, metadata)
    entries = {name: text.encode() for name, text in texts.items()}
    if images is None:
        return emitter.finish(entries)
    entries[ENTRY] = describe(graph.input_shape, images)
    return with_labels(emitter.finish(entries), images)


def channels_last(shape: Shape) -> tuple[int, ...]:
    """Return the shape that a value of the graph has in the file, the batch of one included."""
    return (1, *shape[1:], shape[0])


class _Emitter:
    """Writes one operation after the other."""

    def __init__(self, graph: Graph, arithmetic: Arithmetic, mean: Triple | None) -> None:
        """Begin with the input.

        Args:
            graph: the network.
            arithmetic: holds its weights.
            mean: of the pixels that are to be the input, or None: it is normalised already.
        """
        self._graph = graph
        self._arithmetic = arithmetic
        self._model = Model(graph.weight_bytes + BYTES_PER_NODE * (len(graph) + 1))
        self._from_pixels = mean is not None
        shape = channels_last(graph.input_shape)
        if mean is None:
            self._taken = source = self._value(INPUT, shape, stored_as=INPUT)
        else:
            self._taken, source = self._centred(mean, shape)
        self._values = {INPUT: source}

    def add(self, node: Node) -> None:  # noqa: C901 - one case per operation
        sources = [self._values[name] for name in node.inputs]
        is_output = node is self._graph.output and not self._from_pixels
        name = OUTPUT if is_output else node.name
        result = self._value(name, channels_last(node.shape), stored_as=node.name)
        self._values[node.name] = result
        match node.op:
            case Conv() as op:
                self._conv(node, op, sources[0], result)
            case Shuffle(groups):
                self._shuffle(node, groups, sources[0], result)
            case Add():
                self._operator("ADD", sources, result)
            case Multiply():
                self._operator("MUL", sources, result)
            case HardSwish():
                self._hard_swish(node, sources[0], result)
            case HardSigmoid():
                self._hard_sigmoid(node, sources[0], result)
            case Slice() as op:
                self._slice(node, op, sources[0], result)
            case Concat():
                self._operator("CONCATENATION", sources, result, axis=len(node.shape))
            case MaxPool() as op:
                self._max_pool(node, op, sources[0], result)
            case GlobalAvgPool():
                axes = self._model.constant(f"{node.name}.axes", np.array([1, 2], np.int32))
                self._operator("MEAN", [sources[0], axes], result, keep_dims=False)
            case Linear() as op:
                constants = self._arithmetic.weight_and_bias(self._model, node, LINEAR)
                options = {"fused_activation_function": ACTIVATIONS[op.activation]}
                self._operator("FULLY_CONNECTED", [sources[0], *constants], result, **options)
            case _:
                assert_never(node.op)

    def finish(self, metadata: Mapping[str, bytes]) -> bytes:
        output = self._graph.output
        result = self._values[output.name]
        if self._from_pixels:
            shape = channels_last(output.shape)
            result = self._arithmetic.scores(self._model, OUTPUT, result, shape)
        return self._model.finish({INPUT: self._taken}, {OUTPUT: result}, metadata)

    def _centred(self, mean: Triple, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the input, which are pixels, and these less their mean."""
        taken, source = self._arithmetic.pixels(self._model, INPUT, shape)
        less = self._arithmetic.colour(self._model, "minus.mean", [-each for each in mean])
        result = self._value(f"{INPUT}.centred", shape, stored_as=INPUT)
        self._operator("ADD", [source, less], result)
        return taken, result

    def _conv(self, node: Node, op: Conv, source: Tensor, result: Tensor) -> None:
        padding, source = self._padded(node, op, source)
        options = _window(padding, op) | {
            "fused_activation_function": ACTIVATIONS[op.activation],
        }
        order = DEPTHWISE if op.depthwise else DENSE
        sources = [source, *self._arithmetic.weight_and_bias(self._model, node, order)]
        if op.depthwise:
            self._operator("DEPTHWISE_CONV_2D", sources, result, depth_multiplier=1, **options)
        elif op.groups > 1:
            self._model.operator("CONV_2D", sources, result, GROUPED_VERSION, **options)
        else:
            self._operator("CONV_2D", sources, result, **options)

    def _max_pool(self, node: Node, op: MaxPool, source: Tensor, result: Tensor) -> None:
        padding, source = self._padded(node, op, source)
        options = _window(padding, op) | {"filter_width": op.kernel, "filter_height": op.kernel}
        self._operator("MAX_POOL_2D", [source], result, **options)

    def _slice(self, node: Node, op: Slice, source: Tensor, result: Tensor) -> None:
        size = channels_last(node.shape)
        begin = [0] * (len(size) - 1) + [op.start]
        bounds = {"begin": begin, "size": size}
        constants = [
            self._model.constant(f"{node.name}.{what}", np.array(numbers, np.int32))
            for what, numbers in bounds.items()
        ]
        self._operator("SLICE", [source, *constants], result)

    def _hard_swish(self, node: Node, source: Tensor, result: Tensor) -> None:
        if self._arithmetic.knows_hard_swish:
            self._operator("HARD_SWISH", [source], result)
            return
        scales = self._arithmetic.up_to(1)
        gate = self._model.value(f"{node.name}.gate", channels_last(node.shape), scales)
        self._hard_sigmoid(node, source, gate)
        self._operator("MUL", [source, gate], result)

    def _hard_sigmoid(self, node: Node, source: Tensor, result: Tensor) -> None:
        """Add relu6(x + 3) / 6: TFLite has no operator for it."""
        name, shape = f"{node.name}.sum", channels_last(node.shape)
        total = self._model.value(name, shape, self._arithmetic.up_to(6))
        three = self._arithmetic.number(self._model, f"{node.name}.three", 3)
        sixth = self._arithmetic.number(self._model, f"{node.name}.sixth", 1 / 6)
        relu6 = ACTIVATIONS["relu6"]
        self._operator("ADD", [source, three], total, fused_activation_function=relu6)
        self._operator("MUL", [total, sixth], result)

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
            lowest = self._arithmetic.lowest(self._model, f"{node.name}.lowest", node.inputs[0])
            self._operator("PADV2", [source, constant, lowest], padded)
        return VALID, padded

    def _shuffle(self, node: Node, groups: int, source: Tensor, result: Tensor) -> None:
        channels, height, width = node.shape
        name = node.name
        split = (height * width, groups, channels // groups)
        grouped = self._value(f"{name}.grouped", split, stored_as=name)
        mixed = self._value(f"{name}.mixed", (split[0], split[2], split[1]), stored_as=name)
        order = self._model.constant(f"{name}.order", np.array([0, 2, 1], np.int32))
        self._reshape(f"{name}.split", source, grouped, split)
        self._operator("TRANSPOSE", [grouped, order], mixed)
        self._reshape(f"{name}.merged", mixed, result, channels_last(node.shape))

    def _reshape(self, name: str, source: Tensor, result: Tensor, shape: Sequence[int]) -> None:
        constant = self._model.constant(name, np.array(shape, np.int32))
        new_shape = self._model.integers(shape)
        self._operator("RESHAPE", [source, constant], result, new_shape=new_shape)

    def _value(self, name: str, shape: Sequence[int], *, stored_as: str) -> Tensor:
        return self._model.value(name, shape, self._arithmetic.scales(stored_as))

    def _operator(
        self, kind: str, sources: Sequence[Tensor], result: Tensor, **options: int
    ) -> None:
        version = self._arithmetic.versions.get(kind, 1)
        self._model.operator(kind, sources, result, version, **options)


def _window(padding: int, op: Conv | MaxPool) -> dict[str, int]:
    return {"padding": padding, "stride_w": op.stride, "stride_h": op.stride}


def _same_is_symmetric(size: int, op: Conv | MaxPool) -> bool:
    """Whether TFLite's SAME pads one dimension as torch does with kernel // 2 on each side."""
    outputs = math.ceil(size / op.stride)
    padding = max((outputs - 1) * op.stride + op.kernel - size, 0)
    return op.kernel % 2 == 1 and padding == 2 * (op.kernel // 2)
