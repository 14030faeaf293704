"""Graph to ONNX, batch norm folded, one ONNX node per operation (shuffle: three)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.graph import INPUT, Add, Conv, GlobalAvgPool, Graph, Linear, Node, Shuffle, file_metadata
from hwnas.targets.onnx.model import OUTPUT, Model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import Activation, ImageInput, Weights


def emit(
    graph: Graph,
    weights: Weights,
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    half_weights: bool = False,
) -> bytes:
    """Return the serialised model: float32 (1, C, H, W) "input" to "logits".

    Args:
        graph: a whole network, or a part of one.
        weights: folded weights of every convolution and linear node.
        images: normalisation and labels, written into the metadata.
        metadata: further metadata properties.
        half_weights: store weights in float16; arithmetic stays in float32.

    Raises:
        MissingPackage: onnx is not installed.
        CheckFailed: a weight is beyond the range of float16.
    """
    model = Model(half_weights=half_weights)
    names = {INPUT: INPUT} | {node.name: node.name for node in graph}
    names[graph.output.name] = OUTPUT
    for node in graph:
        _add(model, node, [names[name] for name in node.inputs], names[node.name], weights)
    return model.finish(graph, file_metadata(images, metadata))


def conv_attributes(op: Conv) -> dict[str, Any]:
    """Return the attributes of ONNX's Conv."""
    return {
        "kernel_shape": [op.kernel] * 2,
        "strides": [op.stride] * 2,
        "pads": [op.kernel // 2] * 4,
        "group": op.groups,
    }


def _add(model: Model, node: Node, sources: list[str], result: str, weights: Weights) -> None:
    match node.op:
        case Conv() as op:
            _conv(model, node.name, op, sources[0], result, weights)
        case Shuffle(groups):
            _shuffle(model, node, groups, sources[0], result)
        case Add():
            model.node("Add", sources, result)
        case GlobalAvgPool():
            spatial = model.node("GlobalAveragePool", sources, f"{result}.spatial")
            model.node("Flatten", [spatial], result, axis=1)
        case Linear():
            constants = model.weight_and_bias(node.name, weights)
            model.node("Gemm", [sources[0], *constants], result, transB=1)
        case _:
            raise NotImplementedError(type(node.op).__name__)


def _conv(model: Model, name: str, op: Conv, source: str, result: str, weights: Weights) -> None:
    raw = result if op.activation is None else f"{result}.linear"
    inputs = [source, *model.weight_and_bias(name, weights)]
    model.node("Conv", inputs, raw, **conv_attributes(op))
    if op.activation is not None:
        _activation(model, op.activation, raw, result)


def _activation(model: Model, activation: Activation, source: str, result: str) -> None:
    match activation:
        case "relu6":
            low = model.constant("relu6.low", np.float32(0))
            high = model.constant("relu6.high", np.float32(6))
            model.node("Clip", [source, low, high], result)
        case "relu":
            model.node("Relu", [source], result)


def _shuffle(model: Model, node: Node, groups: int, source: str, result: str) -> None:
    channels, height, width = node.shape
    split = np.array([1, groups, channels // groups, height, width], np.int64)
    merged = np.array([1, channels, height, width], np.int64)
    name = node.name
    model.node("Reshape", [source, model.constant(f"{name}.split", split)], f"{name}.groups")
    model.node("Transpose", [f"{name}.groups"], f"{name}.mixed", perm=[0, 2, 1, 3, 4])
    model.node("Reshape", [f"{name}.mixed", model.constant(f"{name}.merged", merged)], result)
