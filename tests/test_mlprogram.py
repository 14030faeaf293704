"""ML Programs: what is written computes what torch does, in every precision.

Independent readings: the graph by torch functions in this repository's tests, coremltools' own
converter and decompression, and coremltools' reader of packages.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import functional as reference
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from operations import OPERATIONS

from hwnas.errors import CheckFailed, HwnasError, UserError
from hwnas.graph import (
    INPUT,
    Graph,
    GraphBuilder,
    ImageInput,
    Shuffle,
    Weights,
    random_weights,
    unnamed,
)
from hwnas.models.network import Network, fold, initialise
from hwnas.spaces import BASELINES, PUBLISHED, find_space, mobilenet_v2
from hwnas.targets.apple import require, versions
from hwnas.targets.mlprogram import emitter, executor
from hwnas.targets.mlprogram.emitter import emit
from hwnas.targets.mlprogram.package import MANIFEST, MODEL, WEIGHTS
from hwnas.targets.mlprogram.storage import WEIGHT_THRESHOLD, as_stored, in_8_bits
from hwnas.targets.shared import std
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import Content
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytest.importorskip("coremltools")

SMALL = find_space("rcnet", input_size="16", classes=10, width=0.25)

BINARY = ImageInput((0.5, 0.25, 0.75), (0.25, 0.5, 0.125), tuple("abcdefghij"))
"""Stds that are powers of two: folding them commutes with rounding to float16."""

slow = settings(
    deadline=None,
    max_examples=2,  # a second or two each; tests/test_export.py writes more networks
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a smaller seed is no simpler network
)
seeds = st.integers(0, 2**31)


def pixels_of(graph: Graph, count: int = 2, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, *graph.input_shape[1:], 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return pixels (n, 3, H, W) from 0 to 1, by the factor that a file can hold."""
    # Deep random networks make 1e-4 of a probability from the rounding of 1 / 255.
    return pixels.transpose(0, 3, 1, 2) * np.float64(np.float32(1 / 255))


def normalised(pixels: NDArray[np.uint8], images: ImageInput) -> NDArray[np.float64]:
    mean, deviation = (np.reshape(values, (3, 1, 1)) for values in (images.mean, images.std))
    return (scaled(pixels) - mean) / deviation


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return torch.from_numpy(scores).softmax(1).numpy()


def classified(
    graph: Graph, weights: Weights, images: ImageInput, pixels: NDArray[np.uint8]
) -> NDArray[np.float64]:
    return softmax(reference.run(graph, weights, normalised(pixels, images)))


def error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest error relative to an image's largest probability."""
    assert np.ptp(expected, axis=1).min() > 1e-3, "all classes alike would hide any mistake"
    return float((abs(found - expected).max(1) / expected.max(1)).max())


def error_of(graph: Graph, images: ImageInput, precision: str, seed: int = 0) -> float:
    """Return the error beside a reference that holds its weights as the file does."""
    weights, pixels = random_weights(graph, seed), pixels_of(graph, seed=seed)
    stored = as_stored(Content(graph, weights, images, {}, precision))
    found = executor.probabilities(emit(Content(graph, weights, images, {}, precision)), pixels)
    return error(found, classified(graph, stored, images, pixels))


# float32 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*PUBLISHED, "mobilenet-v2"])
def test_published_networks_compute_what_torch_computes(name: str) -> None:
    space = find_space("rcnet-cifar100" if name == "rcnet-cifar100" else "rcnet-imagenet")
    is_rcnet = name in PUBLISHED
    graph = space.graph(space.parse(PUBLISHED[name])) if is_rcnet else mobilenet_v2(224, 1000)
    assert error_of(graph, unnamed(graph.output.shape[0]), "fp32") <= 1e-5


@slow
@given(seed=seeds)
def test_every_network_of_a_space_computes_what_torch_computes(seed: int) -> None:
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    # What is left is the last rounding, of a probability to float32.
    assert error_of(graph, BINARY, "fp32", seed) <= 1e-6


@pytest.mark.parametrize("activation", ["relu", "relu6", None])
@pytest.mark.parametrize("groups", [1, 3])
def test_an_unequal_std_is_folded_and_every_activation_is_written(
    groups: int, activation: Any
) -> None:
    builder = GraphBuilder((3, 9, 9))
    left = builder.conv("left", INPUT, 6, kernel=3, stride=2, groups=groups, activation=activation)
    right = builder.conv("right", INPUT, 6, stride=2, activation=None)
    value = builder.add("add", left, right)
    builder.linear("classifier", builder.global_avg_pool("pool", value), 4)
    images = ImageInput((0.1, 0.5, 0.9), (0.9, 0.05, 0.3), ("a", "b", "c", "d"))
    assert error_of(builder.build(), images, "fp32") <= 1e-5


def test_an_image_that_no_convolution_reads_is_scaled_by_an_operation() -> None:
    builder = GraphBuilder((3, 8, 8))
    value = builder.conv("conv", builder.shuffle("shuffle", INPUT, 3), 3, activation=None)
    value = builder.add("add", value, INPUT)
    builder.linear("classifier", builder.global_avg_pool("pool", value), 3)
    images = ImageInput((0.1, 0.5, 0.9), (0.9, 0.05, 0.3), ("a", "b", "c"))
    assert error_of(builder.build(), images, "fp32") <= 1e-5


def as_classifier(operation: Graph) -> Graph:
    """Return a network that reads an image and has the nodes of `operation` in its middle."""
    channels, *size = operation.input_shape
    builder = GraphBuilder((3, *size))
    stem = builder.conv("stem", INPUT, channels, activation=None)
    nodes = [
        replace(node, inputs=tuple(stem if name == INPUT else name for name in node.inputs))
        for node in operation
    ]
    end = GraphBuilder(operation.output.shape)
    value = end.global_avg_pool("pool", INPUT) if len(operation.output.shape) == 3 else INPUT
    end.linear("classifier", value, 10)
    last = operation.output.name
    tail = [
        replace(node, inputs=tuple(last if name == INPUT else name for name in node.inputs))
        for node in end.build()
    ]
    return Graph(builder.input_shape, (*builder.build(), *nodes, *tail))


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-6), ("fp16", 3e-3), ("int8", 3e-3)])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_alone_computes_what_torch_computes(
    operation: str, precision: str, limit: float
) -> None:
    assert error_of(as_classifier(OPERATIONS[operation]), BINARY, precision) <= limit


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_compute_what_torch_computes(name: str) -> None:
    graph = BASELINES[name](64, 10, 1.0)
    assert error_of(graph, unnamed(10), "fp32") <= 1e-5


def test_the_comparison_sees_a_wrong_shuffle() -> None:
    graph = SMALL.graph(SMALL.parse(PUBLISHED["rcnet-cifar100"]))
    assert any(isinstance(node.op, Shuffle) for node in graph)
    mirrored = tuple(
        replace(node, op=Shuffle(node.shape[0] // node.op.groups))
        if isinstance(node.op, Shuffle)
        else node
        for node in graph
    )
    weights, pixels = random_weights(graph, 0), pixels_of(graph)
    found = executor.probabilities(
        emit(Content(Graph(graph.input_shape, mirrored), weights, BINARY, {}, "fp32")), pixels
    )
    assert error(found, classified(graph, weights, BINARY, pixels)) > 1e-2


# float16 and 8 bits ---------------------------------------------------------------------------


def by_hand(graph: Graph, weights: Weights, images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities with every value of the graph rounded to float16, node by node."""

    def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values.astype(np.float16).astype(np.float64)

    values = {INPUT: rounded(images)}
    for node in graph:
        inputs = [values[name] for name in node.inputs]
        # Each node is run as a graph of its own; a sum reads one input from its channels.
        if len(inputs) == 2:
            values[node.name] = rounded(inputs[0] + inputs[1])
            continue
        alone = Graph(inputs[0].shape[1:], (replace(node, inputs=(INPUT,)),))
        values[node.name] = rounded(reference.run(alone, weights, inputs[0]))
    return softmax(values[graph.output.name])


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@slow
@given(seed=seeds)
def test_every_operation_of_a_short_program_rounds_to_float16(precision: str, seed: int) -> None:
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    weights, pixels = random_weights(graph, seed), pixels_of(graph, seed=seed)
    stored = as_stored(Content(graph, weights, BINARY, {}, precision))
    found = executor.probabilities(emit(Content(graph, weights, BINARY, {}, precision)), pixels)
    expected = by_hand(graph, stored, normalised(pixels, BINARY))
    # Sums in another order differ by 1e-16, which rounds to the same float16 but for ties. A
    # convolution is rounded before its activation in the file and after it by hand: the same,
    # since clamping keeps the order and its limits are numbers of float16.
    assert error(found, expected) <= 1e-3


def noise(
    graph: Graph, weights: Weights, images: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Return probabilities with every value off by up to half a step of float16, at random."""
    rng = np.random.default_rng(seed)
    values = {INPUT: images}
    for node in graph:
        inputs = [values[name] for name in node.inputs]
        alone = Graph(inputs[0].shape[1:], (replace(node, inputs=(INPUT,)),))
        exact = sum(inputs) if len(inputs) == 2 else reference.run(alone, weights, inputs[0])
        values[node.name] = exact * (1 + 2**-11 * rng.uniform(-1, 1, exact.shape))
    return softmax(values[graph.output.name])


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@slow
@given(seed=seeds)
def test_half_precision_errs_by_what_its_rounding_makes_of_the_network(
    precision: str, seed: int
) -> None:
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    weights, pixels = random_weights(graph, seed), pixels_of(graph, seed=seed)
    stored, images = (
        as_stored(Content(graph, weights, BINARY, {}, precision)),
        normalised(pixels, BINARY),
    )
    exact = softmax(reference.run(graph, stored, images))
    # Random networks of 30 to 160 operations amplify a step of float16 (5e-4) to between 5e-4
    # and 0.3 of a probability, so the bound is the network's own: at most 1.6 in 50 trials.
    effect = max(error(noise(graph, stored, images, trial), exact) for trial in range(4))
    assert error_of(graph, BINARY, precision, seed) <= 6 * effect + 2**-10


def apples_constants(package: Artifact, folder: Path) -> dict[str, NDArray[Any]]:
    """Return the weights of convolutions and linear layers, as coremltools reads them."""
    package.write(folder)
    tools = require("models")
    spec = require("models.utils").load_spec(str(folder))
    load = require("converters.mil.frontend.milproto.load").load
    assert tools.MLModel(str(folder), skip_model_load=True).get_spec() == spec
    program = load(spec, spec.specificationVersion, str((folder / WEIGHTS).parent))
    found = {}
    for operation in program.functions["main"].operations:
        if operation.op_type in {"conv", "linear"}:
            weight = operation.inputs["weight"]
            inner = weight.op.op_type
            value = weight.op.materialized_val_inference() if inner != "const" else weight.val
            found[operation.outputs[0].name] = value
    return found


def extreme_weights(graph: Graph, seed: int) -> Weights:
    """Return weights some of whose channels are zero, subnormal in float16, or large."""
    factors = np.array([0, 1e-8, 3e-7, 1e-5, 1e-3, 1, 1, 1, 300], np.float32)
    rng = np.random.default_rng(seed)
    return {
        name: (weight * rng.choice(factors, (len(weight), *[1] * (weight.ndim - 1))), bias)
        for name, (weight, bias) in random_weights(graph, seed).items()
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@slow
@given(seed=seeds)
def test_the_weights_said_to_be_stored_are_those_that_coremltools_reads(
    precision: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    graph = find_space("rcnet", input_size="16", classes=40, width=0.5).graph(
        SMALL.sample(np.random.default_rng(seed))
    )
    weights, images = extreme_weights(graph, seed), unnamed(40)
    content = Content(graph, weights, images, {}, precision)
    package = emit(content)
    found = apples_constants(package, tmp_path_factory.mktemp("package") / "model.mlpackage")
    stored = std.folded(
        graph, as_stored(Content(graph, weights, images, {}, precision)), images.std
    )
    assert len(found) == len(stored)
    assert precision != "int8" or any(w.size > WEIGHT_THRESHOLD for w, _ in stored.values())
    for value, (name, (weight, _)) in zip(found.values(), stored.items(), strict=True):
        # The stem's weights were divided by std, multiplied, and divided again.
        np.testing.assert_allclose(value, weight, rtol=3e-7, err_msg=name)


@settings(deadline=None)
@given(values=arrays(np.float32, (3, 700), elements=st.floats(-6e4, 6e4, width=32)))
def test_a_weight_in_8_bits_is_half_a_step_of_its_channel_off_at_most(
    values: NDArray[np.float32],
) -> None:
    whole, scales = in_8_bits(values, "layer")
    column = scales.astype(np.float64)[:, None]
    assert (abs(whole * column - values) <= column / 2).all()
    largest = abs(values).max(axis=1)
    # One step of float16 above the smallest scale that reaches the largest weight.
    assert (scales <= np.maximum(largest / 127 * (1 + 2**-10), 0) + 2**-24).all()


def test_a_weight_beyond_float16_is_refused_in_one_line() -> None:
    graph = SMALL.graph(SMALL.start())
    weights = {
        name: (1e6 * weight, bias) for name, (weight, bias) in random_weights(graph, 0).items()
    }
    for precision in ("fp16", "int8"):
        with pytest.raises(CheckFailed, match="float16 ends at 65504: export with --precision"):
            emit(Content(graph, weights, BINARY, {}, precision))
    assert emit(Content(graph, weights, BINARY, {}, "fp32")).size_bytes > 0


def test_files_shrink_as_the_precision_says() -> None:
    space = find_space("rcnet-imagenet")
    graph = space.graph(space.parse(PUBLISHED["rcnet-imagenet"]))
    weights = random_weights(graph, 0)
    packages = {
        precision: emit(Content(graph, weights, unnamed(1000), {}, precision))
        for precision in ("fp32", "fp16", "int8")
    }
    sizes = {precision: package.size_bytes for precision, package in packages.items()}
    assert sizes["fp32"] <= 4.05 * graph.params
    assert sizes["fp16"] <= 0.52 * sizes["fp32"]
    assert sizes["int8"] <= 0.30 * sizes["fp32"]
    needed = {name: versions.required_version(each.files[MODEL]) for name, each in packages.items()}
    assert needed == {"fp32": 6, "fp16": 6, "int8": 7}


# What a package says about itself -------------------------------------------------------------


def small_package(precision: str = "fp16") -> Artifact:
    graph = SMALL.graph(SMALL.start())
    about = {"arch": "s0", "space": SMALL.name}
    return emit(Content(graph, random_weights(graph, 0), BINARY, about, precision))


def test_coremltools_reads_names_texts_and_origin(tmp_path: Path) -> None:
    small_package().write(tmp_path / "model.mlpackage")
    model = require("models").MLModel(str(tmp_path / "model.mlpackage"), skip_model_load=True)
    assert model.author == "hwnas"
    assert model.short_description == "Classifier of 16x16 images into 10 classes"
    assert model.user_defined_metadata["arch"] == "s0"
    assert model.user_defined_metadata["space"] == SMALL.name
    assert model.input_description["image"] == "RGB image, 16x16 pixels"
    assert model.output_description["classLabel"] == "most probable class"
    description = model.get_spec().description
    assert [feature.name for feature in description.input] == ["image"]
    assert {feature.name for feature in description.output} == {"classLabel", "probabilities"}
    assert description.predictedFeatureName == "classLabel"
    assert description.predictedProbabilitiesName == "probabilities"
    image = description.input[0].type.imageType
    assert (image.width, image.height, image.ColorSpace.Name(image.colorSpace)) == (16, 16, "RGB")


def test_labels_are_the_classes_of_the_program_in_their_order() -> None:
    program = require("proto.Model_pb2").Model.FromString(small_package().files[MODEL]).mlProgram
    block = program.functions["main"].block_specializations["CoreML5"]
    classify = block.operations[-1]
    assert classify.type == "classify"
    assert list(block.outputs) == ["classLabel", "probabilities"]
    listed = classify.inputs["classes"].arguments[0].value.immediateValue.list.values
    labels = [each.immediateValue.tensor.strings.values[0] for each in listed]
    assert labels == list(BINARY.labels)


def test_equal_arguments_give_equal_bytes_in_any_process() -> None:
    packages = [small_package(precision) for precision in ("fp16", "int8")]
    for precision, package in zip(("fp16", "int8"), packages, strict=True):
        assert set(package.files) == {MANIFEST, MODEL, WEIGHTS}
        assert small_package(precision).files == package.files
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_mlprogram;"
        "[print(test_mlprogram.small_package(each).sha256) for each in ('fp16', 'int8')]"
    )
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", code, here]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [package.sha256 for package in packages]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_passes_left_out_would_change_nothing(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = [baseline(32, 10, 1.0) for baseline in BASELINES.values()]
    graphs.append(SMALL.graph(SMALL.parse(PUBLISHED["rcnet-cifar100"])))
    few, all_ = [], []
    for found in (few, all_):
        for graph in graphs:
            found.append(
                emit(Content(graph, random_weights(graph, 0), BINARY, {}, precision)).sha256
            )
        usual = sys.modules["coremltools"].PassPipeline.DEFAULT.passes
        monkeypatch.setattr(emitter, "CLASSIFIER_PASSES", usual)
    assert few == all_


def test_a_graph_that_is_no_classifier_of_the_labels_is_refused() -> None:
    graph = SMALL.graph(SMALL.start())
    with pytest.raises(UserError, match="labels=9, output="):
        emit(Content(graph, random_weights(graph, 0), unnamed(9), {}))


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match=r"reads uint8 images \(n, 16, 16, 3\), but got uint8"):
        executor.probabilities(small_package(), np.zeros((1, 17, 16, 3), np.uint8))


# The converter as witness ---------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_coremltools_converter_writes_what_computes_the_same(precision: str) -> None:
    graph = SMALL.graph(SMALL.parse(PUBLISHED["rcnet-cifar100"]))
    network = Network(graph).eval()
    initialise(network, 0)
    weights, pixels = fold(network), pixels_of(graph)
    images = ImageInput((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), BINARY.labels)
    theirs = executor.probabilities(converted(network, images, precision), pixels)
    ours = executor.probabilities(emit(Content(graph, weights, images, {}, precision)), pixels)
    with torch.no_grad():
        scores = network.double()(torch.from_numpy(normalised(pixels, images)))
    expected = softmax(scores.numpy())
    assert error(theirs, expected) <= (1e-5 if precision == "fp32" else 2e-2)
    assert error(ours, expected) <= (1e-5 if precision == "fp32" else 2e-2)


def converted(network: torch.nn.Module, images: ImageInput, precision: str) -> Artifact:
    require("models")
    tools = sys.modules["coremltools"]
    example = torch.zeros(1, 3, 16, 16)
    module = torch.nn.Sequential(network, torch.nn.Softmax(1)).eval()
    half = tools.precision.FLOAT16 if precision == "fp16" else tools.precision.FLOAT32
    with quietly("coremltools", "a test"), torch.no_grad():
        program = torch.export.export(module, (example,)).run_decompositions({})
        bias = [-value for value in images.mean]
        model = tools.convert(
            program,
            inputs=[tools.ImageType("image", example.shape, scale=1 / 255, bias=bias)],
            classifier_config=tools.ClassifierConfig(list(images.labels)),
            convert_to="mlprogram",
            compute_precision=half,
            minimum_deployment_target=tools.target.iOS15,
            skip_model_load=True,
        )
        return Artifact.read(Path(model.package_path))


# On a Mac -------------------------------------------------------------------------------------


def test_a_program_that_does_not_classify_has_no_probabilities() -> None:
    package = small_package()
    model = require("proto.Model_pb2").Model.FromString(package.files[MODEL])
    del model.mlProgram.functions["main"].block_specializations["CoreML5"].operations[-1]
    model.mlProgram.functions["main"].block_specializations["CoreML5"].outputs[:] = ["softmax"]
    changed = Artifact({**package.files, MODEL: model.SerializeToString()})
    with pytest.raises(HwnasError, match="does not classify"):
        executor.probabilities(changed, np.zeros((1, 16, 16, 3), np.uint8))
