"""The operations of a graph as ONNX nodes that compute on float32."""
# ruff: noqa: D102 - `Walk` says what each operation is

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.targets.onnx.model import OUTPUT
from hwnas.targets.shared.walk import Walk

if TYPE_CHECKING:
    from hwnas.graph import Activation, Conv, Linear, MaxPool, Node, Slice
    from hwnas.targets.onnx.model import Model
    from hwnas.targets.shared.format import Content

HARD_SIGMOID = {"alpha": 1 / 6, "beta": 0.5}


class Float(Walk[str]):
    """Adds nodes to a model; a value goes by its name in the file."""

    def __init__(self, model: Model, content: Content) -> None:
        self._model = model
        self._weights = content.weights
        self._output = content.graph.output.name

    def conv(self, node: Node, op: Conv, source: str) -> str:
        return self._activated("Conv", node, op, source, **conv_attributes(op))

    def shuffle(self, node: Node, groups: int, source: str) -> str:
        channels, height, width = node.shape
        name = node.name
        split = [1, groups, channels // groups, height, width]
        grouped = self._reshape(f"{name}.split", source, f"{name}.groups", split)
        self._model.node("Transpose", [grouped], f"{name}.mixed", perm=[0, 2, 1, 3, 4])
        merged = [1, channels, height, width]
        return self._reshape(f"{name}.merged", f"{name}.mixed", self._result_of(node), merged)

    def add(self, node: Node, left: str, right: str) -> str:
        return self._model.node("Add", [left, right], self._result_of(node))

    def multiply(self, node: Node, source: str, factors: str) -> str:
        result = self._result_of(node)
        factors = self._spread(factors, f"{result}.factors")
        return self._model.node("Mul", [source, factors], result)

    def hard_swish(self, node: Node, source: str) -> str:
        result = self._result_of(node)
        gate = self._model.node("HardSigmoid", [source], f"{result}.gate", **HARD_SIGMOID)
        return self._model.node("Mul", [source, gate], result)

    def hard_sigmoid(self, node: Node, source: str) -> str:
        return self._model.node("HardSigmoid", [source], self._result_of(node), **HARD_SIGMOID)

    def slice(self, node: Node, op: Slice, source: str) -> str:
        return self._sliced(node, op, source, self._result_of(node))

    def concat(self, node: Node, *sources: str) -> str:
        return self._model.node("Concat", sources, self._result_of(node), axis=1)

    def max_pool(self, node: Node, op: MaxPool, source: str) -> str:
        return self._model.node("MaxPool", [source], self._result_of(node), **_window(op))

    def global_avg_pool(self, node: Node, source: str) -> str:
        result = self._result_of(node)
        spatial = self._model.node("GlobalAveragePool", [source], f"{result}.spatial")
        return self._model.node("Flatten", [spatial], result, axis=1)

    def linear(self, node: Node, op: Linear, source: str) -> str:
        return self._activated("Gemm", node, op, source, transB=1)

    def _result_of(self, node: Node) -> str:
        return OUTPUT if node.name == self._output else node.name

    def _activated(
        self, kind: str, node: Node, op: Conv | Linear, source: str, **attributes: Any
    ) -> str:
        result = self._result_of(node)
        inputs = [source, *self._model.weight_and_bias(node.name, self._weights)]
        if op.activation is None:
            return self._model.node(kind, inputs, result, **attributes)
        raw = self._model.node(kind, inputs, f"{result}.linear", **attributes)
        return self._clamp(op.activation, raw, result)

    def _clamp(self, activation: Activation, source: str, result: str) -> str:
        match activation:
            case "relu6":
                low = self._model.constant("relu6.low", np.float32(0))
                high = self._model.constant("relu6.high", np.float32(6))
                return self._model.node("Clip", [source, low, high], result)
            case "relu":
                return self._model.node("Relu", [source], result)

    def _reshape(self, name: str, source: str, result: str, shape: list[int]) -> str:
        constant = self._model.constant(name, np.array(shape, np.int64))
        return self._model.node("Reshape", [source, constant], result)

    def _sliced(self, node: Node, op: Slice, source: str, result: str, axis: int = 1) -> str:
        numbers = {"start": op.start, "stop": op.stop, "axis": axis}
        bounds = [
            self._model.constant(f"{node.name}.{what}", np.array([number], np.int64))
            for what, number in numbers.items()
        ]
        return self._model.node("Slice", [source, *bounds], result)

    def _spread(self, factors: str, result: str) -> str:
        """Add factors (1, C) as (1, C, 1, 1), which multiply every pixel."""
        axes = self._model.constant("spatial.axes", np.array([2, 3], np.int64))
        return self._model.node("Unsqueeze", [factors, axes], result)


def conv_attributes(op: Conv) -> dict[str, Any]:
    """Return the attributes of ONNX's Conv."""
    return {**_window(op), "group": op.groups}


def _window(op: Conv | MaxPool) -> dict[str, Any]:
    return {
        "kernel_shape": [op.kernel] * 2,
        "strides": [op.stride] * 2,
        "pads": [op.kernel // 2] * 4,
    }
