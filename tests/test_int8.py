"""8-bit models: close to float, all integer kernels, no worse than the ecosystem's quantisers."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel
from contents import in_8_bits
from functional import run
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from operations import OPERATIONS

from hwnas.device import find_target
from hwnas.graph import (
    INPUT,
    Conv,
    GraphBuilder,
    Linear,
    Multiply,
    Rearrangement,
    random_weights,
    unnamed,
)
from hwnas.spaces import BASELINES, PUBLISHED, SPACES, find_space
from hwnas.targets.backend import local_backend
from hwnas.targets.onnx import emitter as onnx_emitter
from hwnas.targets.onnx.runtime import OnnxRuntime
from hwnas.targets.shared import quantisation
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite import emitter as tflite_emitter
from hwnas.targets.tflite.runtime import LiteRt

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.graph import Graph

SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)
RUNTIMES = {"onnx": (onnx_emitter.emit, OnnxRuntime), "tflite": (tflite_emitter.emit, LiteRt)}
INT8, INT32 = schema.TensorType.INT8, schema.TensorType.INT32


def _images(graph: Graph, count: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *graph.input_shape)).astype(np.float32)


def _signal_to_noise_db(found: np.ndarray, exact: np.ndarray) -> float:
    noise = float(((found - exact) ** 2).sum())
    return 10 * math.log10(float((exact**2).sum()) / max(noise, 1e-30))


def _noise_of(kind: str, graph: Graph, seed: int = 0) -> float:
    """Return the signal-to-noise ratio in dB on the inputs that it was calibrated on."""
    emit, runtime = RUNTIMES[kind]
    weights, images = random_weights(graph, seed), _images(graph)
    found = runtime(emit(in_8_bits(graph, weights, images))).predict(images)
    return _signal_to_noise_db(found, run(graph, weights, images))


@pytest.mark.parametrize("kind", RUNTIMES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_alone_keeps_35_db(kind: str, operation: str) -> None:
    assert _noise_of(kind, OPERATIONS[operation]) > 35


@pytest.mark.parametrize("kind", RUNTIMES)
def test_whole_random_networks_keep_most_of_the_signal(kind: str) -> None:
    """Untrained networks of 20 blocks amplify every rounding."""
    archs = [SMALL.sample(np.random.default_rng(seed)) for seed in range(16)]
    noise = [_noise_of(kind, SMALL.graph(arch), seed) for seed, arch in enumerate(archs)]
    assert np.median(noise) > 16
    assert min(noise) > 8


def test_both_formats_store_the_same_numbers() -> None:
    graph = SMALL.graph(SMALL.add(SMALL.start(), (1, 2)))
    weights, images = random_weights(graph, 0), _images(graph)
    left = OnnxRuntime(onnx_emitter.emit(in_8_bits(graph, weights, images))).predict(images)
    right = LiteRt(tflite_emitter.emit(in_8_bits(graph, weights, images))).predict(images)
    assert _signal_to_noise_db(left, right) > 20


INTEGER_KERNELS = {
    "Flatten", "MaxPool", "NhwcMaxPool", "QGemm", "QLinearAdd", "QLinearConcat", "QLinearConv",
    "QLinearGlobalAveragePool", "QLinearMul", "Reshape", "Slice", "Split", "Transpose",
    "Unsqueeze",
} | {"QuantizeLinear", "DequantizeLinear"}  # fmt: skip
"""What ONNX Runtime makes of a network, with a conversion at each end of it."""


def _optimised(model: bytes, folder: Path) -> Counter[str]:
    """Count the operations of a model that ONNX Runtime has prepared."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


def test_onnx_runtime_runs_every_operation_of_a_network_on_integers(tmp_path: Path) -> None:
    space = SPACES["rcnet-imagenet"]
    graph = space.graph(space.parse(PUBLISHED["rcnet-imagenet"]))
    model = onnx_emitter.emit(in_8_bits(graph, random_weights(graph, 0)))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    found = _optimised(model, tmp_path)
    convs = sum(isinstance(node.op, Conv) for node in graph)
    assert found["QLinearConv"] == convs
    assert found["QGemm"] == found["QuantizeLinear"] == found["DequantizeLinear"] == 1
    assert not {"Conv", "FusedConv", "Gemm", "Add", "Clip"} & found.keys()
    shuffles = sum(node.name.endswith("shuffle") for node in graph)
    assert found["Transpose"] == shuffles + 2  # and one at each end of the network


def test_onnx_runtime_rearranges_nothing_inside_mobilenet_v3(tmp_path: Path) -> None:
    graph = BASELINES["mobilenet_v3_small"](64, 10, 1.0)
    found = _optimised(onnx_emitter.emit(in_8_bits(graph, random_weights(graph, 0))), tmp_path)
    squeezes = sum(isinstance(node.op, Multiply) for node in graph)
    assert squeezes == 9
    assert found["Transpose"] == 2  # one at each end
    assert found["QGemm"] == 2  # and the rest of the linear layers are convolutions
    assert found["QLinearConv"] == 2 * squeezes + sum(isinstance(node.op, Conv) for node in graph)
    assert found.keys() <= INTEGER_KERNELS - {"Unsqueeze", "Reshape"}


def test_a_vector_that_is_read_as_one_too_stays_one() -> None:
    builder = GraphBuilder((8, 6, 6))
    gate = builder.linear("gate", builder.global_avg_pool("pool", INPUT), 8)
    after = builder.global_avg_pool("after", builder.multiply("scaled", INPUT, gate))
    builder.linear("scores", builder.concat("both", gate, after), 5)
    graph = builder.build()
    weights, images = random_weights(graph, 0), _images(graph)
    model = onnx_emitter.emit(in_8_bits(graph, weights, images))
    assert not any(node.op_type == "Conv" for node in onnx.load_from_string(model).graph.node)
    found = OnnxRuntime(model).predict(images)
    assert _signal_to_noise_db(found, run(graph, weights, images)) > 25


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - {"concat with less than a clamp"}))
def test_onnx_runtime_runs_every_operation_alone_on_integers(
    operation: str, tmp_path: Path
) -> None:
    graph = OPERATIONS[operation]
    model = onnx_emitter.emit(in_8_bits(graph, random_weights(graph, 0), _images(graph)))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    found = _optimised(model, tmp_path)
    assert found.keys() <= INTEGER_KERNELS
    assert found["QuantizeLinear"] == found["DequantizeLinear"] == 1


def test_a_tflite_file_holds_nothing_but_integers() -> None:
    space = SPACES["rcnet-imagenet"]
    graph = space.graph(space.parse(PUBLISHED["rcnet-imagenet"]))
    model = tflite_emitter.emit(in_8_bits(graph, random_weights(graph, 0), None, unnamed(1000)))
    CompiledModel.from_buffer(model)  # LiteRT's flatbuffer verifier
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    assert {tensor.type for tensor in parsed.subgraphs[0].tensors} == {INT8, INT32}
    biases = [tensor for tensor in parsed.subgraphs[0].tensors if tensor.name.endswith(b".bias")]
    assert len(biases) == sum(isinstance(node.op, Conv | Linear) for node in graph)
    assert all(tensor.type == INT32 for tensor in biases)
    assert len(model) < 0.32 * graph.weight_bytes


@pytest.mark.filterwarnings("ignore:Warning. Enabling .experimental_preserve_all_tensors")
def test_litert_quantizer_finds_the_same_scales_and_keeps_no_more_signal() -> None:
    from litert_quantizer import quantizer, recipe

    space = SPACES["rcnet-cifar100"]
    graph = space.graph(space.parse(PUBLISHED["rcnet-cifar100"]))
    weights, images = random_weights(graph, 0), _images(graph, 1)
    work = quantizer.Quantizer(
        tflite_emitter.emit(Content(graph, weights)), recipe.static_wi8_ai8()
    )
    seen = work.calibrate({"serving_default": [{"input": images.transpose(0, 2, 3, 1)}]})
    theirs = bytes(work.quantize(seen, enable_progress_report=False).quantized_model)
    ours = tflite_emitter.emit(in_8_bits(graph, weights, images))
    mine, other = _scales(ours), _scales(theirs)
    assert len(mine) > 100
    for name, scales in mine.items():
        if not name.startswith(b"head.classifier"):  # by channel there, and by layer here
            assert other[name] == pytest.approx(scales, rel=0.01), name
    exact = run(graph, weights, images)
    noise = [_signal_to_noise_db(LiteRt(m).predict(images), exact) for m in (ours, theirs)]
    assert noise[0] > noise[1] - 1


def _scales(model: bytes) -> dict[bytes, np.ndarray]:
    tensors = schema.ModelT.InitFromPackedBuf(model, 0).subgraphs[0].tensors
    return {
        tensor.name: tensor.quantization.scale
        for tensor in tensors
        if tensor.quantization is not None and tensor.quantization.scale is not None
    }


def test_onnx_runtimes_quantiser_keeps_no_more_signal(tmp_path: Path) -> None:
    from onnxruntime import quantization as ecosystem

    graph = SMALL.graph(SMALL.add(SMALL.start(), (1, 2)))
    weights, images = random_weights(graph, 0), _images(graph)

    class Reader(ecosystem.CalibrationDataReader):
        remaining = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.remaining, None)
            return None if image is None else {"input": image[None]}

    ecosystem.quantize_static(
        onnx.load_from_string(onnx_emitter.emit(Content(graph, weights))),
        tmp_path / "theirs.onnx",
        Reader(),
        quant_format=ecosystem.QuantFormat.QDQ,
        per_channel=True,
    )
    theirs, ours = (
        (tmp_path / "theirs.onnx").read_bytes(),
        onnx_emitter.emit(in_8_bits(graph, weights, images)),
    )
    exact = run(graph, weights, images)
    noise = [_signal_to_noise_db(OnnxRuntime(m).predict(images), exact) for m in (ours, theirs)]
    assert noise[0] > noise[1] - 1


FLOATS = st.floats(-8, 8, width=32)


@example(
    weight=np.full((3, 2, 2), 1.1e-34, np.float32),
    bias=np.full(3, 1.1e-34, np.float32),
    input_scale=2**-16,
    per_channel=True,
)
@given(
    weight=arrays(np.float32, (3, 2, 2), elements=FLOATS),
    bias=arrays(np.float32, (3,), elements=FLOATS),
    input_scale=st.floats(2**-16, 1, width=32),
    per_channel=st.booleans(),
)
def test_integers_are_within_half_a_step_and_never_overflow(
    weight: np.ndarray, bias: np.ndarray, input_scale: float, per_channel: bool
) -> None:
    scale = np.float32(input_scale)
    found = quantisation.integers(weight, bias, scale, per_channel=per_channel)
    real = found.weight * found.scales[:, None, None]
    assert np.all(np.abs(real - weight) <= 0.5001 * found.scales[:, None, None])
    assert np.abs(found.bias.astype(np.int64)).max() <= 2**30 + 2**7
    step = scale.astype(float) * found.scales
    assert np.all(np.abs(found.bias * step - bias) <= 0.5001 * step + 1e-6 * np.abs(bias))
    assert per_channel or len(set(found.scales.tolist())) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_rearranges_values_stores_them_as_its_inputs_do(operation: str) -> None:
    graph = OPERATIONS[operation]
    stored = quantisation.calibrate(graph, random_weights(graph, 0), _images(graph))
    for node in graph:
        if isinstance(node.op, Rearrangement):
            assert {stored[name] for name in node.inputs} == {stored[node.name]}


def test_zero_is_stored_exactly_and_dead_values_have_a_scale() -> None:
    graph = OPERATIONS["dense"]
    weights = {"c": (np.zeros((12, 8, 1, 1), np.float32), np.full(12, -1, np.float32))}
    stored = quantisation.calibrate(graph, weights, _images(graph))
    assert stored["c"].zero_point == 0
    assert stored["c"].scale > 0
    for emit, runtime in RUNTIMES.values():
        assert (
            not runtime(emit(in_8_bits(graph, weights, _images(graph))))
            .predict(_images(graph))
            .any()
        )


@pytest.mark.parametrize("target", ["onnx-cpu-int8", "tflite-int8"])
def test_targets_lead_to_8_bit_backends(target: str) -> None:
    profile = find_target(target)
    backend = local_backend(profile.runtime, profile.precision)
    assert backend is not None
    assert backend.precision == "int8"
    graph = SMALL.graph(SMALL.start())
    model = backend.emit(graph, random_weights(graph, 0))
    assert len(model) < 0.7 * graph.weight_bytes
    assert backend.load(model, 1).elapsed_ms() > 0


def test_a_precision_that_a_runtime_lacks_has_no_backend() -> None:
    assert local_backend("tflite", "fp16") is None
