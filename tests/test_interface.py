"""Any model file: what a session accepts, and the one line that it gives for everything else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from contents import in_8_bits
from onnx import TensorProto, helper

from hwnas.errors import UserError
from hwnas.graph import INPUT, GraphBuilder, random_weights
from hwnas.spaces import find_space
from hwnas.targets.onnx import emitter as onnx_emitter
from hwnas.targets.onnx.runtime import OnnxRuntime
from hwnas.targets.shared.format import Content
from hwnas.targets.shared.interface import Interface, TensorSpec, interface_of
from hwnas.targets.tflite import emitter as tflite_emitter
from hwnas.targets.tflite.remote import DEFAULT_PYTHON, VARIABLE, RemoteRuntime
from hwnas.targets.tflite.runtime import LiteRt

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)
PYTHON = os.environ.get(VARIABLE) or str(Path(__file__).parent.parent / DEFAULT_PYTHON)

FLOAT, FLOAT16, UINT8, INT64 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.UINT8,
    TensorProto.INT64,
)


def emitted(emit: Callable[..., bytes], content: Callable[..., Content] = Content) -> bytes:
    graph = SMALL.graph(SMALL.start())
    return emit(content(graph, random_weights(graph, seed=0)))


def onnx_file(inputs: list[tuple[int, list[Any]]], outputs: int = 1) -> bytes:
    """A model that copies its first input, made by the onnx package alone."""
    names = [f"in{index}" for index in range(len(inputs))]
    sources = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, (kind, shape) in zip(names, inputs, strict=True)
    ]
    results = [helper.make_tensor_value_info(f"out{index}", *inputs[0]) for index in range(outputs)]
    nodes = [helper.make_node("Identity", [names[0]], [result.name]) for result in results]
    graph = helper.make_graph(nodes, "other", sources, results)
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


IMAGE = [1, 3, 8, 8]


@pytest.mark.parametrize("kind", [FLOAT, FLOAT16, UINT8])
def test_onnx_files_of_any_writer_run_with_floats_and_bytes(kind: int) -> None:
    session = OnnxRuntime(onnx_file([(kind, IMAGE)]))
    assert session.elapsed_ms() > 0
    assert session.interface.image_size == (8, 8)
    assert session.interface.input_dtype == helper.tensor_dtype_to_np_dtype(kind).name


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (onnx_file([(FLOAT, IMAGE), (FLOAT, IMAGE)]), "has 2 inputs (in0, in1)"),
        (onnx_file([(FLOAT, IMAGE)], outputs=2), "has 2 outputs (out0, out1)"),
        (onnx_file([(FLOAT, ["batch", 3, 8, 8])]), "no fixed shape (batchx3x8x8)"),
        (onnx_file([(FLOAT, [1, 3, None, 8])]), "no fixed shape (1x3x?x8)"),
        (onnx_file([(INT64, IMAGE)]), "holds int64"),
        (onnx_file([(FLOAT, [8, 3, 8, 8])]), "8 images at a time"),
        (b"", "cannot run it"),
        (b"hello world, I am no model" * 10, "not an ONNX model"),
        (emitted(onnx_emitter.emit)[:-1000], "truncated"),
        (emitted(tflite_emitter.emit), "not an ONNX model"),
    ],
)
def test_onnx_files_that_cannot_be_timed_are_told_in_one_line(model: bytes, told: str) -> None:
    with pytest.raises(UserError) as caught:
        OnnxRuntime(model)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_onnx_file_that_loads_and_does_not_run_is_told_too() -> None:
    shape = onnx.numpy_helper.from_array(np.array([7, 7], np.int64), "shape")
    source = helper.make_tensor_value_info("in", FLOAT, IMAGE)
    result = helper.make_tensor_value_info("out", FLOAT, [7, 7])
    where = helper.make_tensor_value_info("where", INT64, [2])
    nodes = [
        helper.make_node("Shape", ["in"], ["size"]),
        helper.make_node("Gather", ["size", "two"], ["where"]),
        helper.make_node("Add", ["where", "shape"], ["wrong"]),
        helper.make_node("Reshape", ["in", "wrong"], ["out"]),
    ]
    two = onnx.numpy_helper.from_array(np.array([0, 0], np.int64), "two")
    graph = helper.make_graph(nodes, "other", [source], [result], [shape, two], value_info=[where])
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    with pytest.raises(UserError, match="cannot run it"):
        OnnxRuntime(model)


@pytest.mark.parametrize("load", [LiteRt, lambda model: RemoteRuntime(PYTHON).load(model)])
@pytest.mark.parametrize(
    ("model", "told"),
    [
        (b"", "cannot run it"),
        (b"hello world, I am no model" * 10, "not a TFLite model"),
        (emitted(tflite_emitter.emit)[:-1000], "runcated"),
        (emitted(onnx_emitter.emit), "not a TFLite model"),
    ],
)
def test_tflite_files_that_cannot_be_timed_are_told_in_one_line(
    load: Callable[[bytes], Any], model: bytes, told: str
) -> None:
    if load is not LiteRt and not Path(PYTHON).exists():
        pytest.skip(f"no {PYTHON}: make tflite-runtime")
    with pytest.raises(UserError) as caught:
        load(model)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sessions_tell_shape_and_type_of_what_they_take_and_give() -> None:
    onnx_face = OnnxRuntime(emitted(onnx_emitter.emit)).interface
    assert onnx_face == Interface((1, 3, 32, 32), (1, 10), "float32", "float32")
    assert LiteRt(emitted(tflite_emitter.emit, in_8_bits)).interface == Interface(
        (1, 32, 32, 3), (1, 10), "int8", "int8"
    )
    assert (onnx_face.image_size, onnx_face.classes) == ((32, 32), 10)


def test_a_part_that_is_no_image_is_timed_and_has_no_image_size() -> None:
    builder = GraphBuilder((4, 6, 6))
    builder.conv("c", INPUT, 4)
    graph = builder.build()
    session = LiteRt(tflite_emitter.emit(Content(graph, random_weights(graph, seed=0))))
    assert session.elapsed_ms() > 0
    assert session.interface.image_size is None
    assert session.interface.classes is None


def test_a_tensor_of_texts_or_of_no_size_is_refused() -> None:
    right = TensorSpec("x", (1, 3, 8, 8), "float32")
    with pytest.raises(UserError, match="holds string"):
        interface_of([TensorSpec("x", (1,), "string")], [right])
    with pytest.raises(UserError, match="no fixed shape"):
        interface_of([right], [TensorSpec("y", (1, -1), "float32")])
    with pytest.raises(UserError, match=r"0 inputs \(none\)"):
        interface_of([], [right])
