"""Baselines: torchvision's networks, to the unit and on every runtime."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import onnx
import onnxruntime
import pytest
import torch
from contents import in_8_bits
from functional import relative_error, run
from onnxruntime import quantization
from torchvision_networks import TORCHVISION, counted, known, reference, tolerance
from xnnpack import runs_whole_on_xnnpack

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.graph import Conv, Linear, Multiply, unnamed
from hwnas.progress import Silent
from hwnas.spaces import BASELINES, find_space
from hwnas.targets.apple import versions
from hwnas.targets.coreml import emitter as coreml_emitter
from hwnas.targets.coreml import executor
from hwnas.targets.onnx import emitter as onnx_emitter
from hwnas.targets.onnx.runtime import OnnxRuntime
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite import emitter as tflite_emitter
from hwnas.targets.tflite.runtime import LiteRt
from hwnas.workflows.bench.timing import Target, baseline, time_networks

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights

CASES = [(name, resolution) for name in TORCHVISION for resolution in (32, 64)]


def signal_to_noise_db(found: NDArray[np.float32], logits: NDArray[np.float64]) -> float:
    return 10 * math.log10((logits**2).sum() / ((found - logits) ** 2).sum())


# The graph ------------------------------------------------------------------------------------


def test_every_baseline_has_its_witness() -> None:
    assert set(TORCHVISION) == set(BASELINES)


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize(("resolution", "classes"), [(32, 10), (64, 10), (224, 1000)])
def test_counts_are_those_of_torchvision_to_the_unit(
    name: str, resolution: int, classes: int
) -> None:
    graph = BASELINES[name](resolution, classes, 1.0)
    theirs = reference(name, resolution, classes)
    assert (graph.params, graph.madds) == counted(theirs, resolution)


@pytest.mark.parametrize("width", [0.25, 0.5, 0.75, 1.5])
def test_mobilenet_v3_is_torchvisions_in_every_width(width: float) -> None:
    graph = BASELINES["mobilenet_v3_small"](64, 10, width)
    theirs = reference("mobilenet_v3_small", 64, 10, width_mult=width)
    assert (graph.params, graph.madds) == counted(theirs, 64)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("width", [0.1, 0.25, 0.5, 0.75, 1.25, 2.0])
def test_a_wider_network_has_more_of_everything(name: str, width: float) -> None:
    narrow, wide = (BASELINES[name](32, 10, each) for each in (width, 1.5 * width))
    assert narrow.params < wide.params
    assert narrow.madds < wide.madds
    assert narrow.output.shape == wide.output.shape == (10,)


@pytest.mark.parametrize(("name", "resolution"), [*CASES, *((name, 75) for name in TORCHVISION)])
def test_the_module_and_the_folded_weights_compute_what_torchvision_does(
    name: str, resolution: int
) -> None:
    graph, network, weights, images, logits = known(name, resolution)
    with torch.no_grad():
        ours = network(torch.from_numpy(images).double()).numpy()
    assert relative_error(ours, logits) < 1e-12
    assert relative_error(run(graph, weights, images), logits) < tolerance(name, resolution)


def quantised_by_onnx_runtime(
    graph: Graph, weights: Weights, images: NDArray[np.float32], path: Path
) -> bytes:
    class Reader(quantization.CalibrationDataReader):
        remaining = iter(images)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.remaining, None)
            return None if image is None else {"input": image[None]}

    quantization.quantize_static(
        onnx.load_from_string(onnx_emitter.emit(Content(graph, weights))),
        path,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
    )
    return path.read_bytes()


# Its files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "resolution"), CASES)
@pytest.mark.parametrize(
    ("emit", "runtime"),
    [(onnx_emitter.emit, OnnxRuntime), (tflite_emitter.emit, LiteRt)],
    ids=["onnx", "tflite"],
)
def test_float_files_compute_what_torchvision_does(
    emit: Any, runtime: Any, name: str, resolution: int
) -> None:
    graph, _, weights, images, logits = known(name, resolution)
    found = runtime(emit(Content(graph, weights))).predict(images)
    assert relative_error(found, logits) < tolerance(name, resolution)


@pytest.mark.parametrize(("name", "resolution"), CASES)
@pytest.mark.parametrize(
    ("emit", "runtime"),
    [(onnx_emitter.emit, OnnxRuntime), (tflite_emitter.emit, LiteRt)],
    ids=["onnx", "tflite"],
)
def test_8_bit_files_keep_as_much_signal_as_onnx_runtimes_own_quantiser(
    emit: Any, runtime: Any, name: str, resolution: int, tmp_path: Path
) -> None:
    """Untrained networks of 50 layers amplify every rounding, whoever rounds."""
    graph, _, weights, images, logits = known(name, resolution)
    model = emit(in_8_bits(graph, weights, images))
    theirs = quantised_by_onnx_runtime(graph, weights, images, tmp_path / "theirs.onnx")
    expected = signal_to_noise_db(OnnxRuntime(theirs).predict(images), logits)
    assert signal_to_noise_db(runtime(model).predict(images), logits) > max(6, expected - 1)
    assert len(model) < 0.4 * graph.weight_bytes


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_core_ml_file_runs_on_ios_12_and_computes_what_torchvision_does(name: str) -> None:
    graph, _, weights, images, logits = known(name, 32)
    found = executor.run(coreml_emitter.emit(Content(graph, weights, None, {})), images)
    assert relative_error(found.reshape(logits.shape), logits) < tolerance(name, 32)
    model = coreml_emitter.emit(Content(graph, weights, unnamed(10), {}))
    versions.check_ios12(model)
    assert versions.required_version(model) == 1


@pytest.mark.parametrize(("name", "resolution"), CASES)
def test_onnx_runtime_runs_8_bit_files_on_integers(
    name: str, resolution: int, tmp_path: Path
) -> None:
    graph, _, weights, images, _ = known(name, resolution)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    model = onnx_emitter.emit(in_8_bits(graph, weights, images))
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert found["QuantizeLinear"] == found["DequantizeLinear"] == 1
    convs, linears, products = (
        sum(isinstance(node.op, kind) for node in graph) for kind in (Conv, Linear, Multiply)
    )
    assert found["QLinearConv"] == convs + 2 * products  # squeeze-and-excitation stays an image
    assert found["QGemm"] == linears - 2 * products
    assert not {"Conv", "FusedConv", "Gemm", "Add", "Mul", "Concat", "Clip", "Relu"} & found.keys()


@pytest.mark.parametrize(("name", "resolution"), CASES)
def test_xnnpack_takes_the_whole_network(name: str, resolution: int) -> None:
    graph, _, weights, images, _ = known(name, resolution)
    assert runs_whole_on_xnnpack(tflite_emitter.emit(Content(graph, weights)))
    assert runs_whole_on_xnnpack(tflite_emitter.emit(in_8_bits(graph, weights, images)))


# The bench ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["onnx-cpu", "tflite"])
def test_every_baseline_is_timed_on_every_runtime(name: str) -> None:
    space = find_space("rcnet", input_size="16", classes=10, width=0.25)
    target = Target(find_target(name))
    candidates = [baseline(name, space, target.backend) for name in BASELINES]
    timed = time_networks(target, candidates, Silent())
    assert [timing.name for timing in timed.timings] == list(BASELINES)
    assert all(timing.median_ms > 0 for timing in timed.timings)
    assert len({timing.params for timing in timed.timings}) == len(BASELINES)


def test_an_unknown_baseline_is_told_with_the_known_ones() -> None:
    space, backend = find_space("rcnet-cifar10"), Target(find_target("onnx-cpu")).backend
    with pytest.raises(UserError) as told:
        baseline("resnet50", space, backend)
    assert all(name in str(told.value) for name in BASELINES)
