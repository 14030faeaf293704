"""TFLite files: right by LiteRT's verifier, by LiteRT, and by the schema that LiteRT ships."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel
from contents import in_8_bits
from functional import relative_error, rounding_effect, run
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from operations import OPERATIONS
from xnnpack import runs_whole_on_xnnpack

from hwnas.device import find_target
from hwnas.graph import INPUT, Conv, GraphBuilder, Shuffle, random_weights, unnamed
from hwnas.profiler.clock import LocalClock
from hwnas.profiler.plan import make_plan
from hwnas.profiler.protocol import Profiler
from hwnas.progress import Silent
from hwnas.spaces import PUBLISHED, SPACES, find_space, mobilenet_v2
from hwnas.targets.onnx import emitter as onnx_emitter
from hwnas.targets.onnx.runtime import OnnxRuntime
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite import arithmetic, flatbuffer
from hwnas.targets.tflite.emitter import emit
from hwnas.targets.tflite.model import OPERATORS
from hwnas.targets.tflite.runtime import LiteRt
from hwnas.workflows.bench.timing import Target, baseline, time_networks

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.graph import Activation, Graph, Weights

SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)
NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items()}


def _images(graph: Graph, count: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *graph.input_shape)).astype(np.float32)


def _agree(model: bytes, graph: Graph, weights: Weights) -> None:
    """Require 1e-5 relative, or a few times what one float32 rounding of the weights does."""
    images = _images(graph)
    expected, found = run(graph, weights, images), LiteRt(model).predict(images)
    assert found.shape == expected.shape
    if not expected.any():  # every value was below zero before its ReLU6
        assert not found.any()
        return
    rounding = rounding_effect(graph, weights, images, expected)
    assert rounding < 1e-3
    assert relative_error(found, expected) < max(1e-5, 5 * rounding)


def _verify(model: bytes) -> None:
    """Have LiteRT's flatbuffer verifier read the whole file, which its interpreter does not do."""
    CompiledModel.from_buffer(model)


def _read(model: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(model, 0)


def _operators(model: bytes) -> list[str]:
    parsed = _read(model)
    codes = [NAMES[code.builtinCode] for code in parsed.operatorCodes]
    return [codes[operator.opcodeIndex] for operator in parsed.subgraphs[0].operators]


@settings(max_examples=20, deadline=None)
@example(906)  # amplifies rounding ten times as much as most
@given(st.integers(0, 10**6))
def test_litert_agrees_with_torch_functions(seed: int) -> None:
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    weights = random_weights(graph, seed)
    _agree(emit(Content(graph, weights)), graph, weights)


@settings(max_examples=100, deadline=None)
@example(height=8, width=8, kernel=3, stride=2, groups=1, per_group=(3, 4), activation="relu6")
@example(height=7, width=8, kernel=3, stride=2, groups=6, per_group=(1, 1), activation=None)
@given(
    height=st.integers(3, 12),
    width=st.integers(3, 12),
    kernel=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
    groups=st.integers(1, 6),
    per_group=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    activation=st.sampled_from(["relu6", "relu", None]),
)
def test_every_convolution_alone_agrees(
    height: int,
    width: int,
    kernel: int,
    stride: int,
    groups: int,
    per_group: tuple[int, int],
    activation: Activation | None,
) -> None:
    builder = GraphBuilder((groups * per_group[0], height, width))
    options = {"kernel": kernel, "stride": stride, "groups": groups, "activation": activation}
    builder.conv("conv", INPUT, groups * per_group[1], **options)
    graph = builder.build()
    weights = random_weights(graph, 0)
    _agree(emit(Content(graph, weights)), graph, weights)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_shuffle_alone_agrees(groups: int) -> None:
    builder = GraphBuilder((6, 5, 4))
    builder.shuffle("shuffle", INPUT, groups)
    _agree(emit(Content(builder.build(), {})), builder.build(), {})


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_alone_agrees_and_runs_on_xnnpack(operation: str) -> None:
    graph = OPERATIONS[operation]
    weights = random_weights(graph, 0)
    model = emit(Content(graph, weights))
    _verify(model)
    _agree(model, graph, weights)
    for each in (model, emit(in_8_bits(graph, weights))):
        assert runs_whole_on_xnnpack(each) == (operation != "max pool below zero")


@settings(max_examples=50, deadline=None)
@given(
    height=st.integers(3, 12),
    width=st.integers(3, 12),
    kernel=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
)
def test_every_max_pool_alone_agrees(height: int, width: int, kernel: int, stride: int) -> None:
    builder = GraphBuilder((4, height, width))
    builder.max_pool("pool", INPUT, kernel, stride)
    _agree(emit(Content(builder.build(), {})), builder.build(), {})


def test_a_part_that_xnnpack_leaves_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """In int8 it has no hard swish, which is why that is written as three operators there."""
    builder = GraphBuilder((8, 7, 6))
    builder.conv("last", builder.hard_swish("swish", builder.conv("first", INPUT, 8)), 8)
    graph = builder.build()
    monkeypatch.setattr(arithmetic.Int8, "knows_hard_swish", True)
    for each in (graph, OPERATIONS["hard swish"]):
        assert not runs_whole_on_xnnpack(emit(in_8_bits(each, random_weights(each, 0))))


def test_the_comparison_sees_a_wrong_shuffle() -> None:
    graph = SMALL.graph(SMALL.add(SMALL.start(), (1, 2)))
    weights = random_weights(graph, 0)
    nodes = tuple(
        dataclasses.replace(node, op=Shuffle(node.shape[0] // 2))
        if isinstance(node.op, Shuffle)
        else node
        for node in graph
    )
    wrong = emit(Content(dataclasses.replace(graph, nodes=nodes), weights))
    with pytest.raises(AssertionError):
        _agree(wrong, graph, weights)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_networks_pass_the_verifier_and_agree(name: str) -> None:
    space = SPACES[name.replace("-b-", "-")]
    graph = space.graph(space.parse(PUBLISHED[name]))
    weights = random_weights(graph, 0)
    model = emit(Content(graph, weights))
    _verify(model)
    _agree(model, graph, weights)
    assert len(model) == pytest.approx(graph.weight_bytes, rel=0.02)


def test_mobilenet_v2_and_every_part_are_emitted_too() -> None:
    parts = [SMALL.part_graph(key) for key in SMALL.lookup_keys()]
    for graph in (mobilenet_v2(32, 10, 0.25), *parts):
        weights = random_weights(graph, 0)
        _agree(emit(Content(graph, weights)), graph, weights)


def test_the_verifier_sees_a_damaged_file() -> None:
    graph = SMALL.graph(SMALL.start())
    model = emit(Content(graph, random_weights(graph, 0)))
    with pytest.raises(RuntimeError):
        _verify(b"\xff\xff\xff\x7f" + model[4:])


def test_tables_have_the_field_numbers_of_the_shipped_schema() -> None:
    for table, fields in flatbuffer.FIELDS.items():
        for name, (slot, prepend) in fields.items():
            setter = f"{table}Add{name.title().replace('_', '')}"
            assert f"{prepend}Slot({slot}," in inspect.getsource(getattr(schema, setter))


def test_operators_have_the_numbers_of_the_shipped_schema() -> None:
    for name, (number, options_number, options) in OPERATORS.items():
        assert getattr(schema.BuiltinOperator, name) == number
        assert getattr(schema.BuiltinOptions, options) == options_number


def test_one_operator_per_operation_and_activations_are_fused() -> None:
    graph = SMALL.graph(SMALL.add(SMALL.start(), (1, 2)))
    model = emit(Content(graph, random_weights(graph, 0)))
    found = Counter(_operators(model))
    convs = [node.op for node in graph if isinstance(node.op, Conv)]
    assert found["DEPTHWISE_CONV_2D"] == sum(op.depthwise for op in convs)
    assert found["CONV_2D"] == sum(not op.depthwise for op in convs)
    assert found["TRANSPOSE"] == sum(isinstance(node.op, Shuffle) for node in graph)
    assert found["RESHAPE"] == 2 * found["TRANSPOSE"]
    assert set(found) <= OPERATORS.keys()


def test_grouped_convolutions_state_the_version_that_knows_groups() -> None:
    builder = GraphBuilder((8, 4, 4))
    builder.conv("dense", builder.conv("grouped", INPUT, 8, groups=2), 8)
    model = _read(emit(Content(builder.build(), random_weights(builder.build(), 0))))
    first, second = model.subgraphs[0].operators
    assert model.operatorCodes[first.opcodeIndex].version == 6
    assert model.operatorCodes[second.opcodeIndex].version == 1


def test_constants_lie_at_multiples_of_16_bytes() -> None:
    graph = SMALL.graph(SMALL.start())
    model = emit(Content(graph, random_weights(graph, 0)))
    buffers = schema.Model.GetRootAs(model, 0)
    for index in range(1, buffers.BuffersLength()):
        table = buffers.Buffers(index)._tab
        assert table.Vector(table.Offset(4)) % 16 == 0


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6))
def test_onnx_and_tflite_files_are_the_same_network(seed: int) -> None:
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    weights, images = random_weights(graph, seed), _images(graph)
    theirs = OnnxRuntime(onnx_emitter.emit(Content(graph, weights))).predict(images)
    ours = LiteRt(emit(Content(graph, weights))).predict(images)
    assume(rounding_effect(graph, weights, images, run(graph, weights, images)) < 1e-5)
    assert relative_error(ours, theirs) < 1e-4


def test_equal_arguments_give_equal_bytes() -> None:
    graph = SMALL.graph(SMALL.start())
    weights = random_weights(graph, 0)
    assert emit(Content(graph, weights, unnamed(10))) == emit(Content(graph, weights, unnamed(10)))


def test_a_second_run_gives_the_same_output_and_no_line_on_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    graph = SMALL.graph(SMALL.start())
    session = LiteRt(emit(Content(graph, random_weights(graph, 0))), threads=2)
    images = _images(graph)
    first = session.predict(images)
    session.run()
    assert session.elapsed_ms() > 0
    assert np.array_equal(session.predict(images), first)
    assert capfd.readouterr().err == ""


def test_networks_are_benched_and_parts_profiled_on_litert(tmp_path: Path) -> None:
    profile = find_target("tflite")
    target = Target(profile)
    backend = target.backend
    timed = time_networks(target, [baseline("mobilenet_v2", SMALL, backend)], Silent())
    assert timed.timings[0].median_ms > 0
    plan = dataclasses.replace(make_plan(SMALL, calibration=8, validation=30), rounds=3)
    clock = LocalClock(SMALL, backend, profile.threads)
    table = Profiler(profile, SMALL, clock, Silent()).run(tmp_path / "p.jsonl", plan=plan)
    assert set(table.rows) == set(SMALL.lookup_keys())
    assert table.meta["runtime"] == {"name": "tflite", "version": backend.version()}


def test_labels_normalisation_and_origin_are_in_the_file() -> None:
    graph = SMALL.graph(SMALL.start())
    parsed = _read(
        emit(Content(graph, random_weights(graph, 0), unnamed(10), {"hwnas.arch": "s0"}))
    )
    entries = {
        entry.name.decode(): bytes(parsed.buffers[entry.buffer].data) for entry in parsed.metadata
    }
    assert json.loads(entries["labels"])[3] == "class 3"
    assert json.loads(entries["image.mean"]) == [0.485, 0.456, 0.406]
    assert entries["hwnas.arch"] == b"s0"
    (signature,) = parsed.signatureDefs
    assert (signature.inputs[0].name, signature.outputs[0].name) == (b"input", b"logits")
