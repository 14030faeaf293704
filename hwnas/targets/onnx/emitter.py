"""Graph to ONNX, batch norm folded, one ONNX node per operation (most: shuffle takes three)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from hwnas.graph import (
    INPUT,
    Add,
    Concat,
    Conv,
    GlobalAvgPool,
    Graph,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool,
    Multiply,
    Node,
    Shuffle,
    Slice,
    file_metadata,
)
from hwnas.targets.onnx.model import OUTPUT, Model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import Activation, ImageInput, Weights


HARD_SIGMOID = {"alpha": 1 / 6, "beta": 0.5}


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


def pool_attributes(op: MaxPool) -> dict[str, Any]:
    """Return the attributes of ONNX's MaxPool."""
    return {
        "kernel_shape": [op.kernel] * 2,
        "strides": [op.stride] * 2,
        "pads": [op.kernel // 2] * 4,
    }


def slice_bounds(model: Model, name: str, op: Slice, axis: int = 1) -> list[str]:
    """Add start, end and axis of ONNX's Slice; return their names."""
    numbers = {"start": op.start, "stop": op.stop, "axis": axis}
    return [
        model.constant(f"{name}.{what}", np.array([number], np.int64))
        for what, number in numbers.items()
    ]


def spread(model: Model, factors: str, result: str) -> str:
    """Add factors (1, C) as (1, C, 1, 1), which multiply every pixel; return the name."""
    axes = model.constant("spatial.axes", np.array([2, 3], np.int64))
    return model.node("Unsqueeze", [factors, axes], result)


def clamp(model: Model, activation: Activation, source: str, result: str) -> str:
    """Add an activation; return the name of its result."""
    match activation:
        case "relu6":
            low = model.constant("relu6.low", np.float32(0))
            high = model.constant("relu6.high", np.float32(6))
            return model.node("Clip", [source, low, high], result)
        case "relu":
            return model.node("Relu", [source], result)


def _add(  # noqa: C901 - one case per operation
    model: Model, node: Node, sources: list[str], result: str, weights: Weights
) -> None:
    match node.op:
        case Conv() as op:
            inputs = [sources[0], *model.weight_and_bias(node.name, weights)]
            _activated(model, "Conv", op, inputs, result, conv_attributes(op))
        case Shuffle(groups):
            _shuffle(model, node, groups, sources[0], result)
        case Add():
            model.node("Add", sources, result)
        case Multiply():
            factors = spread(model, sources[1], f"{result}.factors")
            model.node("Mul", [sources[0], factors], result)
        case HardSwish():
            gate = model.node("HardSigmoid", sources, f"{result}.gate", **HARD_SIGMOID)
            model.node("Mul", [sources[0], gate], result)
        case HardSigmoid():
            model.node("HardSigmoid", sources, result, **HARD_SIGMOID)
        case Slice() as op:
            model.node("Slice", [sources[0], *slice_bounds(model, node.name, op)], result)
        case Concat():
            model.node("Concat", sources, result, axis=1)
        case MaxPool() as op:
            model.node("MaxPool", sources, result, **pool_attributes(op))
        case GlobalAvgPool():
            spatial = model.node("GlobalAveragePool", sources, f"{result}.spatial")
            model.node("Flatten", [spatial], result, axis=1)
        case Linear() as op:
            inputs = [sources[0], *model.weight_and_bias(node.name, weights)]
            _activated(model, "Gemm", op, inputs, result, {"transB": 1})
        case _:
            assert_never(node.op)


def _activated(
    model: Model,
    kind: str,
    op: Conv | Linear,
    inputs: list[str],
    result: str,
    attributes: Mapping[str, Any],
) -> None:
    if op.activation is None:
        model.node(kind, inputs, result, **attributes)
    else:
        raw = model.node(kind, inputs, f"{result}.linear", **attributes)
        clamp(model, op.activation, raw, result)


def _shuffle(model: Model, node: Node, groups: int, source: str, result: str) -> None:
    channels, height, width = node.shape
    split = np.array([1, groups, channels // groups, height, width], np.int64)
    merged = np.array([1, channels, height, width], np.int64)
    name = node.name
    model.node("Reshape", [source, model.constant(f"{name}.split", split)], f"{name}.groups")
    model.node("Transpose", [f"{name}.groups"], f"{name}.mixed", perm=[0, 2, 1, 3, 4])
    model.node("Reshape", [f"{name}.mixed", model.constant(f"{name}.merged", merged)], result)
