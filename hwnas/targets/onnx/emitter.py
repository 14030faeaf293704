"""Graph to ONNX, batch norm folded, one ONNX node per operation (shuffle: three)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage
from hwnas.graph import INPUT, Add, Conv, GlobalAvgPool, Graph, Linear, Node, Shuffle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import ImageInput, Weights

OPSET = 13
"""Old enough for every runtime in use, new enough for Clip with its bounds as inputs."""

IR_VERSION = 8

OUTPUT = "logits"


def emit(
    graph: Graph,
    weights: Weights,
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the serialised model: float32 (1, C, H, W) "input" to "logits".

    Args:
        graph: a whole network, or a part of one.
        weights: folded weights of every convolution and linear node.
        images: normalisation and labels, written into the metadata.
        metadata: further metadata properties.

    Raises:
        MissingPackage: onnx is not installed.
    """
    onnx = _import_onnx()
    writer = _Writer(onnx)
    names = {INPUT: INPUT} | {node.name: node.name for node in graph}
    names[graph.output.name] = OUTPUT
    for node in graph:
        writer.add(node, [names[name] for name in node.inputs], names[node.name], graph, weights)
    value = onnx.helper.make_tensor_value_info
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            writer.nodes,
            "hwnas",
            [value(INPUT, onnx.TensorProto.FLOAT, [1, *graph.input_shape])],
            [value(OUTPUT, onnx.TensorProto.FLOAT, [1, *graph.output.shape])],
            writer.initializers,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="hwnas",
    )
    properties = images.properties() if images else {}
    onnx.helper.set_model_props(model, properties | dict(metadata or {}))
    serialised: bytes = model.SerializeToString()
    return serialised


def _import_onnx() -> Any:
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingPackage('the onnx package is missing: pip install "hwnas[onnx]"') from None
    return onnx


class _Writer:
    """Collects ONNX nodes and initializers; `add` writes one operation."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(
        self, node: Node, sources: list[str], result: str, graph: Graph, weights: Weights
    ) -> None:
        match node.op:
            case Conv() as op:
                self._conv(node.name, op, sources[0], result, weights)
            case Shuffle(groups):
                self._shuffle(node, groups, sources[0], result)
            case Add():
                self._node("Add", sources, result)
            case GlobalAvgPool():
                self._node("GlobalAveragePool", sources, f"{result}.spatial")
                self._node("Flatten", [f"{result}.spatial"], result, axis=1)
            case Linear():
                weight, bias = self._weights(node.name, weights)
                self._node("Gemm", [sources[0], weight, bias], result, transB=1)
            case _:
                raise NotImplementedError(f"{type(node.op).__name__} in {len(graph)} nodes")

    def _conv(self, name: str, op: Conv, source: str, result: str, weights: Weights) -> None:
        raw = f"{result}.linear" if op.relu6 else result
        pad = op.kernel // 2
        self._node(
            "Conv",
            [source, *self._weights(name, weights)],
            raw,
            kernel_shape=[op.kernel] * 2,
            strides=[op.stride] * 2,
            pads=[pad] * 4,
            group=op.groups,
        )
        if op.relu6:
            low = self._constant("relu6.low", np.float32(0))
            high = self._constant("relu6.high", np.float32(6))
            self._node("Clip", [raw, low, high], result)

    def _shuffle(self, node: Node, groups: int, source: str, result: str) -> None:
        channels, height, width = node.shape
        split = np.array([1, groups, channels // groups, height, width], np.int64)
        merged = np.array([1, channels, height, width], np.int64)
        name = node.name
        self._node("Reshape", [source, self._constant(f"{name}.split", split)], f"{name}.groups")
        self._node("Transpose", [f"{name}.groups"], f"{name}.mixed", perm=[0, 2, 1, 3, 4])
        self._node("Reshape", [f"{name}.mixed", self._constant(f"{name}.merged", merged)], result)

    def _weights(self, name: str, weights: Weights) -> tuple[str, str]:
        weight, bias = weights[name]
        return self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)

    def _constant(self, name: str, value: Any) -> str:
        if all(tensor.name != name for tensor in self.initializers):
            self.initializers.append(self._onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        make_node = self._onnx.helper.make_node
        self.nodes.append(make_node(kind, inputs, [output], name=f"{output}/{kind}", **attributes))
