"""Warnings about slow paths: found where a runtime leaves something out, and silent elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from contents import in_8_bits
from onnx import TensorProto, helper, numpy_helper

from hwnas.graph import INPUT, GraphBuilder, random_weights
from hwnas.spaces import PUBLISHED, SPACES, find_space
from hwnas.targets.onnx import emitter as onnx_emitter
from hwnas.targets.onnx.slow_paths import OUTSIDE, _blocks_here
from hwnas.targets.onnx.slow_paths import slow_paths as onnx_slow_paths
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite import emitter as tflite_emitter
from hwnas.targets.tflite.runtime import LiteRt
from hwnas.targets.tflite.slow_paths import slow_paths as tflite_slow_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hwnas.graph import Graph

TANH = 4  # among TFLite's fused activations
FLOAT16 = 1  # among its tensor types
SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)
PUBLISHED_NAMES = ["rcnet-imagenet", "rcnet-cifar100"]


def _published(name: str) -> Graph:
    space = SPACES[name]
    return space.graph(space.parse(PUBLISHED[name]))


def _grouped() -> Graph:
    """Two grouped convolutions of 6 channels a group, and one that is dense."""
    builder = GraphBuilder((12, 8, 8))
    first = builder.conv("first", INPUT, 12, groups=2)
    second = builder.conv("second", builder.shuffle("shuffle", first, 2), 12, groups=2)
    builder.conv("dense", second, 16, kernel=3)
    return builder.build()


# TFLite ---------------------------------------------------------------------------------------


def _edited(model: bytes, edit: Callable[[Any], None]) -> bytes:
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    edit(parsed)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(parsed.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _with_tanh_in_grouped_convolutions(parsed: Any) -> None:
    for operator in parsed.subgraphs[0].operators:
        options = operator.builtinOptions
        grouped = (
            parsed.operatorCodes[operator.opcodeIndex].version == tflite_emitter.GROUPED_VERSION
        )
        if isinstance(options, schema.Conv2DOptionsT) and grouped:
            options.fusedActivationFunction = TANH


def _with_half_weights(parsed: Any) -> None:
    """Store every float weight in float16 behind a DEQUANTIZE, as TFLite's converter does."""
    code = schema.OperatorCodeT()
    code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 1
    parsed.operatorCodes.append(code)
    graph = parsed.subgraphs[0]
    added = []
    for index, tensor in enumerate(list(graph.tensors)):
        content = parsed.buffers[tensor.buffer].data
        if content is None or tensor.type != schema.TensorType.FLOAT32:
            continue
        stored = schema.TensorT()
        stored.shape, stored.type, stored.buffer = tensor.shape, FLOAT16, tensor.buffer
        stored.name = tensor.name + b".half"
        half = np.asarray(content, np.uint8).view("<f4").astype("<f2")
        parsed.buffers[tensor.buffer].data = half.view(np.uint8)
        tensor.buffer = 0
        graph.tensors.append(stored)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(parsed.operatorCodes) - 1
        operator.inputs, operator.outputs = [len(graph.tensors) - 1], [index]
        added.append(operator)
    graph.operators = added + graph.operators


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_xnnpack_takes_every_operator_of_published_networks(name: str) -> None:
    graph = _published(name)
    weights = random_weights(graph, 0)
    assert tflite_slow_paths(tflite_emitter.emit(Content(graph, weights))) == []
    assert tflite_slow_paths(tflite_emitter.emit(in_8_bits(graph, weights))) == []


def test_xnnpack_takes_weights_in_float16_with_their_conversion() -> None:
    graph = SMALL.graph(SMALL.start())
    exact = tflite_emitter.emit(Content(graph, random_weights(graph, 0)))
    half = _edited(exact, _with_half_weights)
    assert len(half) < 0.6 * len(exact)
    values = np.ones((1, *graph.input_shape), np.float32)
    found, expected = (LiteRt(model).predict(values) for model in (half, exact))
    assert np.allclose(found, expected, rtol=0, atol=0.02 * np.abs(expected).max())
    assert tflite_slow_paths(half) == []


@pytest.mark.parametrize(("content", "kind"), [(Content, "float32"), (in_8_bits, "int8")])
def test_operators_that_xnnpack_leaves_are_named_with_their_number(content: Any, kind: str) -> None:
    graph = _grouped()
    model = tflite_emitter.emit(content(graph, random_weights(graph, 0)))
    assert tflite_slow_paths(model) == []
    slow = _edited(model, _with_tanh_in_grouped_convolutions)
    assert tflite_slow_paths(slow) == [f"2 x CONV_2D (groups 2, {kind}): not taken by XNNPACK"]


def test_a_file_of_which_xnnpack_takes_nothing_is_named_whole() -> None:
    builder = GraphBuilder((12, 8, 8))
    builder.conv("only", INPUT, 12, groups=3)
    model = tflite_emitter.emit(Content(builder.build(), random_weights(builder.build(), 0)))
    slow = _edited(model, _with_tanh_in_grouped_convolutions)
    assert tflite_slow_paths(slow) == ["1 x CONV_2D (groups 3, float32): not taken by XNNPACK"]


# ONNX -----------------------------------------------------------------------------------------

needs_blocks = pytest.mark.skipif(
    not _blocks_here(), reason="ONNX Runtime has no blocked layout on this machine"
)


def _onnx_model(
    nodes: Sequence[Any], shape: Sequence[int], constants: dict[str, Any], opset: int = 13
) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    tensors = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "test", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString()
    return serialised


@needs_blocks
def test_convolutions_outside_the_blocked_layout_are_named() -> None:
    graph = _grouped()
    assert onnx_slow_paths(onnx_emitter.emit(Content(graph, random_weights(graph, 0)))) == [
        f"2 x FusedConv (groups 2, 6 to 6 channels each): {OUTSIDE}"
    ]


@needs_blocks
def test_grouped_convolutions_of_whole_blocks_are_in_the_blocked_layout() -> None:
    builder = GraphBuilder((64, 8, 8))
    builder.conv("grouped", INPUT, 32, groups=2)
    graph = builder.build()
    assert onnx_slow_paths(onnx_emitter.emit(Content(graph, random_weights(graph, 0)))) == []


@needs_blocks
def test_dense_and_depthwise_networks_stay_in_the_blocked_layout() -> None:
    space = SPACES["rcnet-digits"]
    graph = space.graph(space.start())
    assert onnx_slow_paths(onnx_emitter.emit(Content(graph, random_weights(graph, 0)))) == []


@needs_blocks
def test_of_the_published_network_only_grouped_convolutions_are_named() -> None:
    graph = _published("rcnet-imagenet")
    found = onnx_slow_paths(onnx_emitter.emit(Content(graph, random_weights(graph, 0))))
    assert 1 <= len(found) <= 3
    assert all("Conv (groups " in line and "(groups 1," not in line for line in found)


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_every_operation_of_an_8_bit_network_runs_on_integers(name: str) -> None:
    graph = _published(name)
    assert onnx_slow_paths(onnx_emitter.emit(in_8_bits(graph, random_weights(graph, 0)))) == []


def _through_8_bits(source: str, result: str) -> list[Any]:
    return [
        helper.make_node("QuantizeLinear", [source, "scale", "zero"], [f"{result}.bits"]),
        helper.make_node("DequantizeLinear", [f"{result}.bits", "scale", "zero"], [result]),
    ]


SCALE = {"scale": np.float32(0.1), "zero": np.uint8(128)}


def test_a_float_operation_between_integer_ones_is_named_and_one_at_the_end_is_not() -> None:
    nodes = [
        *_through_8_bits("x", "a"),
        helper.make_node("Erf", ["a"], ["b"]),
        *_through_8_bits("b", "c"),
        helper.make_node("Sin", ["c"], ["y"]),
    ]
    found = onnx_slow_paths(_onnx_model(nodes, [1, 4], SCALE))
    assert found == ["1 x Erf (float): between integer operations"]


def test_a_cast_at_run_time_is_named_and_one_of_a_constant_is_not() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["double"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["w"], ["constant"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["double", "constant"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
    ]
    found = onnx_slow_paths(_onnx_model(nodes, [1, 4], {"w": np.ones(4, np.float32)}))
    assert found == [
        "1 x Cast (to double): converts at every run",
        "1 x Cast (to float): converts at every run",
    ]
