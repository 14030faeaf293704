"""Files that others can open: each format by its own checker or reader, whole and with metadata."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel
from contents import in_8_bits
from google.protobuf.message import DecodeError

from hwnas.graph import random_weights, unnamed
from hwnas.spaces import PUBLISHED, SPACES
from hwnas.targets.apple import require
from hwnas.targets.coreml import emitter as coreml_emitter
from hwnas.targets.onnx import emitter as onnx_emitter
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite import emitter as tflite_emitter
from hwnas.targets.tflite import pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.graph import Graph, ImageInput, Weights

SPACE = SPACES["rcnet-cifar100"]
IMAGES = unnamed(100)
ORIGIN = {"hwnas.arch": PUBLISHED["rcnet-cifar100"], "hwnas.weights": "RANDOM: not trained"}
DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return SPACE.graph(SPACE.parse(PUBLISHED["rcnet-cifar100"]))


def _emitted(graph: Graph, module: Any, precision: str = "fp32") -> bytes:
    made: bytes = module.emit(_content(graph, random_weights(graph, 0), IMAGES, precision))
    return made


def _content(graph: Graph, weights: Weights, images: ImageInput, precision: str) -> Content:
    if precision == "int8":
        return in_8_bits(graph, weights, None, images, ORIGIN)
    return Content(graph, weights, images, ORIGIN)


# ONNX -----------------------------------------------------------------------------------------


@pytest.fixture(params=["fp32", "int8"], scope="module")
def onnx_model(request: pytest.FixtureRequest, graph: Graph) -> Any:
    return onnx.load_from_string(_emitted(graph, onnx_emitter, request.param))


def test_onnx_checks_the_file_whole_and_finds_its_metadata(onnx_model: Any) -> None:
    onnx.checker.check_model(onnx_model, full_check=True)
    found = {entry.key: entry.value for entry in onnx_model.metadata_props}
    assert found == {**IMAGES.properties(), **ORIGIN}


def test_strict_shape_inference_knows_the_shape_of_every_value(onnx_model: Any) -> None:
    inferred = onnx.shape_inference.infer_shapes(
        onnx_model, check_type=True, strict_mode=True, data_prop=True
    ).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*inferred.input, *inferred.value_info, *inferred.output]
    }
    results = {name for node in onnx_model.graph.node for name in node.output}
    assert results <= shapes.keys()
    assert all(min(shape) > 0 for shape in shapes.values())
    assert (shapes["input"], shapes["logits"]) == ([1, 3, 32, 32], [1, 100])


def test_strict_shape_inference_sees_a_wrong_shape(graph: Graph) -> None:
    model = onnx.load_from_string(_emitted(graph, onnx_emitter))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 99
    with pytest.raises(onnx.shape_inference.InferenceError):
        onnx.shape_inference.infer_shapes(model, strict_mode=True)


# TFLite ---------------------------------------------------------------------------------------


def _of_pixels(graph: Graph, precision: str) -> bytes:
    weights, inside = pixels.adapted(graph, random_weights(graph, 0), IMAGES, precision)
    return tflite_emitter.emit(_content(graph, weights, inside, precision), pixels=True)


TFLITE: dict[str, Callable[[Graph], bytes]] = {
    "fp32": lambda graph: _emitted(graph, tflite_emitter),
    "int8": lambda graph: _emitted(graph, tflite_emitter, "int8"),
    "fp32-pixels": lambda graph: _of_pixels(graph, "fp32"),
    "int8-pixels": lambda graph: _of_pixels(graph, "int8"),
}


@pytest.fixture(params=TFLITE, scope="module")
def tflite_model(request: pytest.FixtureRequest, graph: Graph) -> bytes:
    return TFLITE[request.param](graph)


def _structure_is_sound(model: bytes) -> None:
    """Follow every number that points to something; runtimes trust most of them."""
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    (subgraph,) = parsed.subgraphs
    tensors, buffers = subgraph.tensors, parsed.buffers
    assert buffers[0].data is None
    known = set(subgraph.inputs)
    for index, tensor in enumerate(tensors):
        content = buffers[tensor.buffer].data
        if content is not None:
            numbers = math.prod(int(size) for size in tensor.shape)
            assert len(content) == numbers * np.dtype(DTYPES[tensor.type]).itemsize, tensor.name
            known.add(index)
    written: set[int] = set()
    for operator in subgraph.operators:
        assert operator.opcodeIndex in range(len(parsed.operatorCodes))
        assert set(operator.inputs) <= known, "an operator reads what nothing wrote before"
        assert not set(operator.outputs) & known, "an operator writes what has a value already"
        known |= set(operator.outputs)
        written |= set(operator.outputs)
    assert known == set(range(len(tensors)))
    assert set(subgraph.outputs) <= written
    assert len({tensor.name for tensor in tensors}) == len(tensors)
    (signature,) = parsed.signatureDefs
    assert [entry.tensorIndex for entry in signature.inputs] == list(subgraph.inputs)
    assert [entry.tensorIndex for entry in signature.outputs] == list(subgraph.outputs)
    used = [entry.buffer for entry in parsed.metadata] + [tensor.buffer for tensor in tensors]
    assert set(used) == set(range(len(buffers)))


def test_every_table_of_a_tflite_file_is_sound_and_its_flatbuffer_verified(
    tflite_model: bytes,
) -> None:
    CompiledModel.from_buffer(tflite_model)
    _structure_is_sound(tflite_model)


def test_a_tflite_file_states_its_origin_and_the_size_of_its_images(tflite_model: bytes) -> None:
    parsed = schema.ModelT.InitFromPackedBuf(tflite_model, 0)
    found = {
        entry.name.decode(): bytes(parsed.buffers[entry.buffer].data) for entry in parsed.metadata
    }
    assert {name: found[name].decode() for name in ORIGIN} == ORIGIN
    (source,) = parsed.subgraphs[0].inputs
    assert list(parsed.subgraphs[0].tensors[source].shape) == [1, 32, 32, 3]


@pytest.mark.parametrize("kept", [0.001, 0.1, 0.5, 0.9])
def test_the_flatbuffer_verifier_refuses_a_file_that_was_cut_off(
    tflite_model: bytes, kept: float
) -> None:
    with pytest.raises(RuntimeError):
        CompiledModel.from_buffer(tflite_model[: int(kept * len(tflite_model))])


def _point_past_the_operators(parsed: Any) -> None:
    parsed.subgraphs[0].operators[3].opcodeIndex = 99


def _swap_two_operators(parsed: Any) -> None:
    operators = parsed.subgraphs[0].operators
    operators[0], operators[1] = operators[1], operators[0]


def _shorten_a_constant(parsed: Any) -> None:
    buffer = max(parsed.buffers, key=lambda each: 0 if each.data is None else len(each.data))
    buffer.data = buffer.data[:-4]


def _swap_input_and_output_of_the_signature(parsed: Any) -> None:
    (signature,) = parsed.signatureDefs
    signature.inputs, signature.outputs = signature.outputs, signature.inputs


@pytest.mark.parametrize(
    "damage",
    [
        _point_past_the_operators,
        _swap_two_operators,
        _shorten_a_constant,
        _swap_input_and_output_of_the_signature,
    ],
)
def test_the_check_of_the_tables_sees_damage(
    tflite_model: bytes, damage: Callable[[Any], None]
) -> None:
    parsed = schema.ModelT.InitFromPackedBuf(tflite_model, 0)
    builder = flatbuffers.Builder(len(tflite_model))
    damage(parsed)
    builder.Finish(parsed.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(AssertionError):
        _structure_is_sound(bytes(builder.Output()))


# Core ML --------------------------------------------------------------------------------------


def test_coremltools_loads_the_file_and_reads_its_metadata_back(
    graph: Graph, tmp_path: Any
) -> None:
    path = tmp_path / "network.mlmodel"
    path.write_bytes(_emitted(graph, coreml_emitter))
    spec = require("models.utils").load_spec(str(path))
    model = require("models.model").MLModel(spec, skip_model_load=True)
    assert dict(model.user_defined_metadata) == ORIGIN
    assert model.author == "hwnas"
    assert model.short_description == "Classifier of 32x32 images into 100 classes"
    assert model.input_description["image"] == "RGB image, 32x32 pixels"
    image = model.get_spec().description.input[0].type.imageType
    assert (image.width, image.height, image.colorSpace) == (32, 32, image.RGB)
    labels = model.get_spec().neuralNetworkClassifier.stringClassLabels.vector
    assert tuple(labels) == IMAGES.labels


def test_coremltools_refuses_a_file_that_was_cut_off(graph: Graph, tmp_path: Any) -> None:
    path = tmp_path / "network.mlmodel"
    path.write_bytes(_emitted(graph, coreml_emitter)[:-100])
    with pytest.raises(DecodeError):
        require("models.utils").load_spec(str(path))
