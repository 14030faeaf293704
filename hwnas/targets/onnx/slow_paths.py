"""What ONNX Runtime leaves slow in an ONNX file: read from the graph that it makes of the file.

Its CPU kernels are fast on float convolutions in a blocked layout (NCHWc) and on integers. A
convolution that stays outside, or a float operation between two integer ones, costs its conversions
as well. What it does with a file depends on its version and on this machine's vector instructions.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.targets.onnx.model import import_onnx
from hwnas.targets.onnx.runtime import import_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BLOCKED = "com.microsoft.nchwc"
"""Domain of the operations in the blocked layout."""

CONVOLUTIONS = {"Conv", "FusedConv"}

OUTSIDE = "not in the blocked layout (NCHWc), whose blocks hold 8 or 16 channels of one group"

PROBE_CHANNELS = 64
"""A multiple of every block size, which is 8 or 16."""


def slow_paths(model: bytes) -> list[str]:
    """Return one line per reason why this machine's ONNX Runtime is slower than it could be.

    Args:
        model: a serialised ONNX model.

    Raises:
        MissingPackage: onnx or onnxruntime is not installed.
    """
    graph = _optimised(model)
    found = [*_between_integers(graph), *_casts(graph)]
    outside = list(_outside_blocks(graph))
    if outside and _blocks_here():
        found += outside
    return [f"{count} x {what}" for what, count in Counter(found).items()]


def _optimised(model: bytes) -> Any:
    """Return the graph that ONNX Runtime makes of a model."""
    ort, onnx = import_onnxruntime(), import_onnx()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        return onnx.load(path).graph


def _outside_blocks(graph: Any) -> Iterator[str]:
    shapes = {constant.name: constant.dims for constant in graph.initializer}
    for node in graph.node:
        if node.op_type in CONVOLUTIONS and node.domain != BLOCKED:
            yield f"{_convolution(node, shapes)}: {OUTSIDE}"


def _convolution(node: Any, shapes: Mapping[str, Sequence[int]]) -> str:
    """Return what decides about the layout: the channels of a group."""
    if node.input[1] not in shapes:
        return f"{node.op_type} (weights computed)"
    groups = next((field.i for field in node.attribute if field.name == "group"), 1)
    results, sources = shapes[node.input[1]][:2]
    return f"{node.op_type} (groups {groups}, {sources} to {results // groups} channels each)"


def _blocks_here() -> bool:
    """Return whether ONNX Runtime has a blocked layout on this machine, by a file that suits it."""
    onnx = import_onnx()
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    weight = np.ones((PROBE_CHANNELS, PROBE_CHANNELS, 1, 1), np.float32)
    ends = [helper.make_tensor_value_info(x, float32, [1, PROBE_CHANNELS, 8, 8]) for x in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "probe",
        ends[:1],
        ends[1:],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 13)]
    probe = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return any(node.domain == BLOCKED for node in _optimised(probe.SerializeToString()).node)


def _between_integers(graph: Any) -> Iterator[str]:
    """Yield the nodes that compute on floats which were, and will again be, integers."""
    before, after = _reached(graph, "DequantizeLinear"), _reached(graph, "QuantizeLinear")
    for index in sorted(before & after):
        yield f"{graph.node[index].op_type} (float): between integer operations"


def _reached(graph: Any, border: str) -> set[int]:
    """Return what dequantised values flow into, or what quantised values come from."""
    backward = border == "QuantizeLinear"
    nodes = list(enumerate(graph.node))
    values: set[str] = set()
    found = set()
    for index, node in reversed(nodes) if backward else nodes:
        near, far = (node.output, node.input) if backward else (node.input, node.output)
        if node.op_type == border:
            values.update(far)
        elif node.op_type not in {"QuantizeLinear", "DequantizeLinear"} and values & set(near):
            found.add(index)
            values.update(far)
    return found


def _casts(graph: Any) -> Iterator[str]:
    names = import_onnx().TensorProto.DataType
    for node in graph.node:
        if node.op_type == "Cast":
            to = next(field.i for field in node.attribute if field.name == "to")
            yield f"Cast (to {names.Name(to).lower()}): converts at every run"
