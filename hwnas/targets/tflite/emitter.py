"""Graph to TFLite, batch norm folded, ReLU6 fused, channels last.

Padding is torch's: the same on all sides. TFLite's own "SAME" puts more on the right when a stride
does not divide the size; such a convolution gets a PAD before it, which XNNPACK takes back in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hwnas.graph import INPUT, Add, Conv, GlobalAvgPool, Linear, Shuffle
from hwnas.targets.tflite.model import Model, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.graph import Graph, ImageInput, Node, Shape, Weights

OUTPUT = "logits"

GROUPED_VERSION = 6
"""Of CONV_2D with groups; everything else here is in version 1."""

SAME, VALID = 0, 1
NO_ACTIVATION, RELU6 = 0, 3

BYTES_PER_NODE = 2048
"""Of a file beside its weights, generously."""


def emit(
    graph: Graph,
    weights: Weights,
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the serialised model: float32 (1, H, W, C) "input" to "logits".

    Args:
        graph: a whole network, or a part of one.
        weights: folded weights of every convolution and linear node.
        images: normalisation and labels, written into the metadata.
        metadata: further metadata entries.

    Raises:
        MissingPackage: flatbuffers is not installed.
    """
    emitter = _Emitter(graph, weights)
    for node in graph:
        emitter.add(node)
    properties = images.properties() if images else {}
    return emitter.finish(properties | dict(metadata or {}))


def channels_last(shape: Shape) -> tuple[int, ...]:
    """Return the shape that a value of the graph has in the file, the batch of one included."""
    return (1, *shape[1:], shape[0])


class _Emitter:
    """Writes one operation after the other."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self._graph = graph
        self._weights = weights
        self._model = Model(graph.weight_bytes + BYTES_PER_NODE * (len(graph) + 1))
        self._values = {INPUT: self._model.value(INPUT, channels_last(graph.input_shape))}

    def add(self, node: Node) -> None:
        sources = [self._values[name] for name in node.inputs]
        name = OUTPUT if node is self._graph.output else node.name
        result = self._model.value(name, channels_last(node.shape))
        self._values[node.name] = result
        match node.op:
            case Conv() as op:
                self._conv(node, op, sources[0], result)
            case Shuffle(groups):
                self._shuffle(node, groups, sources[0], result)
            case Add():
                self._model.operator("ADD", sources, result)
            case GlobalAvgPool():
                axes = self._model.constant(f"{node.name}.axes", np.array([1, 2], np.int32))
                self._model.operator("MEAN", [sources[0], axes], result, keep_dims=False)
            case Linear():
                constants = self._weight_and_bias(node.name)
                self._model.operator("FULLY_CONNECTED", [sources[0], *constants], result)
            case _:
                raise NotImplementedError(f"{type(node.op).__name__} in {len(self._graph)} nodes")

    def finish(self, metadata: Mapping[str, str]) -> bytes:
        result = self._values[self._graph.output.name]
        return self._model.finish({INPUT: self._values[INPUT]}, {OUTPUT: result}, metadata)

    def _conv(self, node: Node, op: Conv, source: Tensor, result: Tensor) -> None:
        padding, source = self._padded(node, op, source)
        options = {
            "padding": padding,
            "stride_w": op.stride,
            "stride_h": op.stride,
            "fused_activation_function": RELU6 if op.relu6 else NO_ACTIVATION,
        }
        if op.depthwise:
            kind, version, order = "DEPTHWISE_CONV_2D", 1, (1, 2, 3, 0)
            options["depth_multiplier"] = 1
        else:
            kind, version, order = "CONV_2D", GROUPED_VERSION if op.groups > 1 else 1, (0, 2, 3, 1)
        sources = [source, *self._weight_and_bias(node.name, order)]
        self._model.operator(kind, sources, result, version, **options)

    def _padded(self, node: Node, op: Conv, source: Tensor) -> tuple[int, Tensor]:
        """Return the padding scheme and what to convolve."""
        channels, *sizes = self._graph.shape_of(node.inputs[0])
        if all(_same_is_symmetric(size, op) for size in sizes):
            return SAME, source
        pad = op.kernel // 2
        amounts = np.array([[0, 0], [pad, pad], [pad, pad], [0, 0]], np.int32)
        constant = self._model.constant(f"{node.name}.pad", amounts)
        shape = (1, *(size + 2 * pad for size in sizes), channels)
        padded = self._model.value(f"{node.name}.padded", shape)
        self._model.operator("PAD", [source, constant], padded)
        return VALID, padded

    def _shuffle(self, node: Node, groups: int, source: Tensor, result: Tensor) -> None:
        channels, height, width = node.shape
        model, name = self._model, node.name
        split = (height * width, groups, channels // groups)
        grouped = model.value(f"{name}.grouped", split)
        mixed = model.value(f"{name}.mixed", (split[0], split[2], split[1]))
        order = model.constant(f"{name}.order", np.array([0, 2, 1], np.int32))
        self._reshape(f"{name}.split", source, grouped, split)
        model.operator("TRANSPOSE", [grouped, order], mixed)
        self._reshape(f"{name}.merged", mixed, result, channels_last(node.shape))

    def _reshape(self, name: str, source: Tensor, result: Tensor, shape: Sequence[int]) -> None:
        constant = self._model.constant(name, np.array(shape, np.int32))
        new_shape = self._model.integers(shape)
        self._model.operator("RESHAPE", [source, constant], result, new_shape=new_shape)

    def _weight_and_bias(
        self, name: str, order: tuple[int, ...] | None = None
    ) -> tuple[Tensor, Tensor]:
        weight, bias = self._weights[name]
        layout = weight.transpose(order) if order else weight
        return (
            self._model.constant(f"{name}.weight", layout),
            self._model.constant(f"{name}.bias", bias),
        )


def _same_is_symmetric(size: int, op: Conv) -> bool:
    """Whether TFLite's SAME pads one dimension as torch does with kernel // 2 on each side."""
    outputs = math.ceil(size / op.stride)
    padding = max((outputs - 1) * op.stride + op.kernel - size, 0)
    return op.kernel % 2 == 1 and padding == 2 * (op.kernel // 2)
