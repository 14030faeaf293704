"""Core ML: what is written, what may run on iOS 12, and what it computes.

Three independent readings agree here: the graph by torch functions, the models of our emitter, and
the models of Apple's own builder and converter.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from functional import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operations import OPERATIONS
from torch import Tensor, nn
from torch.nn import functional

from hwnas.errors import CheckFailed, HwnasError, MissingPackage, UserError
from hwnas.graph import (
    INPUT,
    Graph,
    GraphBuilder,
    ImageInput,
    Weights,
    random_weights,
    unnamed,
)
from hwnas.spaces import PUBLISHED, find_space, mobilenet_v2
from hwnas.targets import apple
from hwnas.targets.apple import versions
from hwnas.targets.coreml import executor
from hwnas.targets.coreml.emitter import emit
from hwnas.targets.shared.format import Content

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

pytest.importorskip("coremltools")

TOLERANCE = 1e-5
SMALL = find_space("rcnet", input_size="16", classes=10, width=0.25)


# The graph by torch ---------------------------------------------------------------------------


def classify(
    graph: Graph, weights: Weights, images: ImageInput, pixels: NDArray[np.uint8]
) -> NDArray[np.float64]:
    # Deep random networks turn the rounding of 1 / 255 into 1e-4 of a probability, so the
    # number that a file can hold is used here.
    scaled = pixels * np.float64(np.float32(1 / 255))
    normalised = (scaled - np.array(images.mean)) / np.array(images.std)
    scores = run(graph, weights, normalised.transpose(0, 3, 1, 2))
    return torch.from_numpy(scores).softmax(1).numpy()


def random_images(graph: Graph, count: int, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, *graph.input_shape[1:], 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def error_of(graph: Graph, images: ImageInput, count: int = 3, seed: int = 0) -> float:
    """Return the largest difference of a probability, and check that they differ by class."""
    weights, pixels = random_weights(graph, seed), random_images(graph, count, seed)
    expected = classify(graph, weights, images, pixels)
    assert np.ptp(expected, axis=1).min() > 1e-3
    model = emit(Content(graph, weights, images, {}))
    versions.check_ios12(model)
    return float(abs(executor.probabilities(model, pixels) - expected).max())


# Parity of what we write ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("rcnet-digits", "s0"),
        ("rcnet-cifar100", "s0"),
        ("rcnet-cifar100", PUBLISHED["rcnet-cifar100"]),
        ("rcnet-imagenet", PUBLISHED["rcnet-imagenet"]),
    ],
)
def test_an_exported_network_computes_what_torch_computes(name: str, arch: str) -> None:
    space = find_space(name)
    graph = space.graph(space.parse(arch))
    assert error_of(graph, unnamed(space.classes), count=2) <= TOLERANCE


def test_mobilenet_v2_computes_what_torch_computes() -> None:
    assert error_of(mobilenet_v2(32, 10, 0.5), unnamed(10)) <= TOLERANCE


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**31))
def test_every_network_of_a_space_computes_what_torch_computes(seed: int) -> None:
    # Means and stds of few bits fold without rounding: what is left is the last rounding.
    images = ImageInput((0.5, 0.25, 0.75), (0.25, 0.5, 0.125), tuple("abcdefghij"))
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    assert error_of(graph, images, seed=seed) <= 1e-7


@pytest.mark.parametrize("groups", [1, 3])
def test_an_unequal_std_is_folded_exactly(groups: int) -> None:
    builder = GraphBuilder((3, 9, 9))
    left = builder.conv("left", INPUT, 6, kernel=3, stride=2, groups=groups)
    right = builder.conv("right", INPUT, 6, stride=2, activation=None)
    value = builder.add("add", left, right)
    builder.linear("classifier", builder.global_avg_pool("pool", value), 4)
    images = ImageInput((0.1, 0.5, 0.9), (0.9, 0.05, 0.3), ("a", "b", "c", "d"))
    assert error_of(builder.build(), images) <= TOLERANCE


def test_an_image_that_no_convolution_reads_is_scaled_by_a_layer() -> None:
    builder = GraphBuilder((3, 8, 8))
    value = builder.conv("conv", builder.shuffle("shuffle", INPUT, 3), 3, activation=None)
    value = builder.add("add", value, INPUT)
    builder.linear("classifier", builder.global_avg_pool("pool", value), 3)
    images = ImageInput((0.1, 0.5, 0.9), (0.9, 0.05, 0.3), ("a", "b", "c"))
    assert error_of(builder.build(), images) <= TOLERANCE


def test_every_part_of_a_space_computes_what_torch_computes() -> None:
    for key in SMALL.lookup_keys()[::4]:
        graph = SMALL.part_graph(key)
        weights = random_weights(graph, 1)
        values = np.random.default_rng(2).standard_normal((2, *graph.input_shape), np.float32)
        model = emit(Content(graph, weights, None, {"part": str(key)}))
        versions.check_ios12(model)
        expected = run(graph, weights, values)
        assert executor.run(model, values).reshape(expected.shape) == pytest.approx(
            expected, abs=TOLERANCE * abs(expected).max()
        )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_alone_runs_on_ios_12_and_agrees(operation: str) -> None:
    graph = OPERATIONS[operation]
    weights = random_weights(graph, 1)
    values = np.random.default_rng(2).standard_normal((2, *graph.input_shape), np.float32)
    model = emit(Content(graph, weights, None, {}))
    versions.check_ios12(model)
    assert versions.required_version(model) == 1
    expected = run(graph, weights, values)
    found = executor.run(model, values).reshape(expected.shape)
    assert found == pytest.approx(expected, abs=1e-6 * abs(expected).max())


def test_many_images_give_the_results_of_each_alone() -> None:
    graph = SMALL.graph(SMALL.start())
    model = emit(Content(graph, random_weights(graph, 0), unnamed(10), {}))
    pixels = random_images(graph, executor.BATCH + 3)
    alone = np.concatenate([executor.probabilities(model, pixels[i : i + 1]) for i in range(11)])
    assert executor.probabilities(model, pixels) == pytest.approx(alone, abs=1e-6)


# What a file says about itself ----------------------------------------------------------------


def small_model() -> bytes:
    graph = SMALL.graph(SMALL.start())
    images = ImageInput((0.5, 0.4, 0.3), (0.2, 0.2, 0.2), tuple("abcdefghij"))
    return emit(
        Content(graph, random_weights(graph, 0), images, {"arch": "s0", "space": SMALL.name})
    )


def parse(model: bytes) -> Any:
    return apple.require("proto.Model_pb2").Model.FromString(model)


def test_a_file_read_by_coremltools_has_its_input_labels_and_metadata(tmp_path: Any) -> None:
    path = tmp_path / "net.mlmodel"
    path.write_bytes(small_model())
    spec = apple.require("models.utils").load_spec(str(path))
    (source,), outputs = spec.description.input, spec.description.output
    image = source.type.imageType
    assert (source.name, image.width, image.height) == ("image", 16, 16)
    assert image.ColorSpace.Name(image.colorSpace) == "RGB"
    assert [output.name for output in outputs] == ["probabilities", "classLabel"]
    kinds = [output.type.WhichOneof("Type") for output in outputs]
    assert kinds == ["dictionaryType", "stringType"]
    assert spec.description.predictedFeatureName == "classLabel"
    assert spec.description.predictedProbabilitiesName == "probabilities"
    labels = spec.neuralNetworkClassifier.stringClassLabels.vector
    assert list(labels) == list("abcdefghij")
    metadata = spec.description.metadata
    assert (metadata.author, bool(metadata.versionString)) == ("hwnas", True)
    assert "16x16" in metadata.shortDescription
    assert dict(metadata.userDefined) == {"arch": "s0", "space": SMALL.name}


def test_equal_arguments_give_equal_bytes() -> None:
    assert small_model() == small_model()


def test_labels_or_an_input_that_do_not_fit_are_refused() -> None:
    graph = SMALL.graph(SMALL.start())
    with pytest.raises(UserError, match="labels=9"):
        emit(Content(graph, random_weights(graph, 0), unnamed(9), {}))
    part = SMALL.part_graph(SMALL.lookup_keys()[-1])
    with pytest.raises(UserError, match="3 channels"):
        emit(Content(part, random_weights(part, 0), unnamed(10), {}))
    with pytest.raises(UserError, match="16, 16"):
        executor.probabilities(small_model(), np.zeros((1, 8, 8, 3), np.uint8))


# The gate -------------------------------------------------------------------------------------


def test_our_networks_hold_and_state_version_1_only() -> None:
    arch = SMALL.parse("1,2,3,4,5,6|" + "3,0,0,0,0,0|" * 4 + "6,0,0,0,0,0")
    graph = SMALL.graph(arch)
    spec = parse(emit(Content(graph, random_weights(graph, 0), unnamed(10), {})))
    layers = {layer.WhichOneof("layer") for layer in spec.neuralNetworkClassifier.layers}
    assert {"permute", "convolution", "innerProduct"} <= layers <= versions.IOS12_LAYERS
    assert versions.required_version(spec) == spec.specificationVersion == 1
    assert versions.requirements(spec) == []


def test_the_whitelist_is_what_the_protobuf_numbers_before_ios13() -> None:
    """The schema puts the layers of version 4 at 600 and those of version 5 at 1450 and later."""
    layer = apple.require("proto.NeuralNetwork_pb2").NeuralNetworkLayer.DESCRIPTOR
    fields = layer.oneofs_by_name["layer"].fields
    assert {field.name for field in fields if field.number < 600} == versions.IOS12_LAYERS
    assert {field.name for field in fields if field.number >= 1450} == versions.IOS14_LAYERS


class Witness(nn.Module):
    """Strides, padding, groups and an addition, in the hands of Apple's converter."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 12, 1, groups=2)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.stem(x))
        y = self.act(self.depthwise(y)) + y
        return functional.avg_pool2d(self.grouped(y), 2)


def converted(module: nn.Module) -> Any:
    """Convert as `ct.convert` does it, which is for iOS 13 at least."""
    apple.require("models")
    ct = sys.modules["coremltools"]
    shape = (1, 3, 15, 15)
    program = torch.export.export(module.eval(), (torch.zeros(shape),)).run_decompositions({})
    image = ct.ImageType("image", shape, scale=1 / 255, bias=[-0.4, -0.5, -0.6])
    with pytest.warns(DeprecationWarning, match="_TORCH_OPS_REGISTRY"):
        model = ct.convert(
            program,
            inputs=[image],
            convert_to="neuralnetwork",
            minimum_deployment_target=ct.target.iOS13,
        )
    return model.get_spec()


def test_a_converted_model_is_rejected_whatever_version_it_states() -> None:
    spec = converted(Witness(nn.ReLU6()))
    for stated in (spec.specificationVersion, 3, 1):
        spec.specificationVersion = stated
        assert versions.required_version(spec) == 4
        with pytest.raises(CheckFailed, match=r"layer clip \(version 4, x2\)"):
            versions.check_ios12(spec.SerializeToString())


def test_the_executor_agrees_with_torch_on_a_converted_model() -> None:
    torch.manual_seed(0)
    module = Witness(nn.ReLU())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 15, 15)).astype(np.float32)
    result = executor.run(converted(module).SerializeToString(), pixels)
    mean = torch.tensor([0.4, 0.5, 0.6]).reshape(3, 1, 1)
    expected = module(torch.from_numpy(pixels) / 255 - mean).detach().numpy()
    assert result == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("bits", "mode", "version", "limit"),
    [
        (16, "_LINEAR_QUANTIZATION", 2, 0.01),
        (8, "_LINEAR_QUANTIZATION", 3, 0.1),
        (8, "_LOOKUP_TABLE_LINEAR", 3, 0.1),
    ],
)
def test_weights_of_lower_precision_need_later_versions_and_are_read(
    bits: int, mode: str, version: int, limit: float
) -> None:
    pixels = random_images(SMALL.graph(SMALL.start()), 4)
    exact = executor.probabilities(small_model(), pixels)
    spec = parse(small_model())
    quantize = apple.require("models.neural_network.quantization_utils")._quantize_spec_weights
    quantize(spec, bits, getattr(apple.require("models"), f"_QUANTIZATION_MODE{mode}"))
    assert versions.required_version(spec) == version
    versions.check_ios12(spec)
    difference = abs(executor.probabilities(spec.SerializeToString(), pixels) - exact)
    assert 0 < difference.max() < limit
    spec.specificationVersion = 1
    with pytest.raises(CheckFailed, match=f"needed={version}, stated=1"):
        versions.check_ios12(spec)


def flexible_image(spec: Any) -> None:
    spec.description.input[0].type.imageType.imageSizeRange.widthRange.lowerBound = 8


def exact_mapping(spec: Any) -> None:
    spec.neuralNetworkClassifier.arrayInputShapeMapping = 1


def second_convolution_input(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers[0].input.append("weights")


def updatable(spec: Any) -> None:
    spec.isUpdatable = True


def pixel_shuffle(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers.add().reorganizeData.mode = 2


def newer_than_this_schema(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers.add().name = "novel"


def resize(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers.add().resizeBilinear.targetSize.append(2)


def cumulative_sum(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers.add().cumSum.axis = 1


@pytest.mark.parametrize(
    ("change", "version"),
    [
        (flexible_image, 3),
        (resize, 3),
        (exact_mapping, 4),
        (second_convolution_input, 4),
        (updatable, 4),
        (newer_than_this_schema, 4),
        (pixel_shuffle, 5),
        (cumulative_sum, 5),
    ],
)
def test_a_feature_of_a_later_version_is_found(change: Callable[[Any], None], version: int) -> None:
    spec = parse(small_model())
    change(spec)
    spec.specificationVersion = 3
    assert versions.required_version(spec) == version
    if version > 3:
        with pytest.raises(CheckFailed, match=rf"version {version}, x1"):
            versions.check_ios12(spec)
    else:
        versions.check_ios12(spec)


def test_other_kinds_of_model_are_no_neural_networks() -> None:
    model = apple.require("proto.Model_pb2").Model()
    with pytest.raises(UserError, match="empty model"):
        versions.required_version(model)
    model.mlProgram.version = 1
    assert versions.required_version(model) == 6
    with pytest.raises(CheckFailed, match="ML Program"):
        versions.check_ios12(model)


# Meaning of single layers, written by Apple's builder ------------------------------------------


def of_layer(shape: tuple[int, ...], add: Callable[[Any], None]) -> bytes:
    array = apple.require("models.datatypes").Array(*shape)
    network = apple.require("models.neural_network")
    builder = network.NeuralNetworkBuilder([("x", array)], [("y", None)])
    add(builder)
    return bytes(builder.spec.SerializeToString())


RNG = np.random.default_rng(7)
KERNEL = RNG.standard_normal((6, 2, 3, 3)).astype(np.float32)
BIAS = RNG.standard_normal(6).astype(np.float32)
MATRIX = RNG.standard_normal((5, 4 * 7 * 8)).astype(np.float32)
SCALE = RNG.uniform(0.5, 2, 4).astype(np.float32)


def convolution(**options: Any) -> Callable[[Any], None]:
    defaults = {"stride_height": 2, "stride_width": 1, "border_mode": "valid"}
    return lambda builder: builder.add_convolution(
        "layer", 2, 6, 3, 3, groups=2, W=KERNEL.transpose(2, 3, 1, 0), b=BIAS, has_bias=True,
        input_name="x", output_name="y", **(defaults | options),
    )  # fmt: skip


def conv_by_torch(left: int, right: int, top: int, bottom: int, **options: Any) -> Any:
    def expected(x: Tensor) -> Tensor:
        padded = functional.pad(x, (left, right, top, bottom))
        weight, bias = torch.from_numpy(KERNEL), torch.from_numpy(BIAS)
        return functional.conv2d(padded, weight, bias, **({"stride": (2, 1)} | options), groups=2)

    return expected


def pooling(kind: str, border: str, **options: Any) -> Callable[[Any], None]:
    return lambda builder: builder.add_pooling(
        "layer", 3, 3, 2, 2, kind, border, "x", "y", **options
    )


def activation(kind: str, params: Any = None) -> Callable[[Any], None]:
    return lambda builder: builder.add_activation("layer", kind, "x", "y", params)


LAYERS: dict[str, tuple[Callable[[Any], None], Callable[[Tensor], Tensor]]] = {
    "conv": (convolution(), conv_by_torch(0, 0, 0, 0)),
    "conv-unequal-padding": (
        convolution(padding_left=1, padding_right=2, padding_top=3, padding_bottom=0),
        conv_by_torch(1, 2, 3, 0),
    ),
    "inner-product": (
        lambda b: b.add_inner_product("layer", MATRIX, None, 224, 5, False, "x", "y"),
        lambda x: functional.linear(x.flatten(1), torch.from_numpy(MATRIX))[..., None, None],
    ),
    "average-pool": (
        pooling("AVERAGE", "VALID", exclude_pad_area=False, padding_left=1, padding_top=1),
        lambda x: functional.avg_pool2d(functional.pad(x, (1, 0, 1, 0)), 3, 2),
    ),
    "max-pool": (
        pooling(
            "MAX", "VALID", padding_left=1, padding_right=1, padding_top=1, padding_bottom=1
        ),
        lambda x: functional.max_pool2d(x, 3, 2, 1),
    ),
    "global-max-pool": (pooling("MAX", "VALID", is_global=True), lambda x: x.amax((2, 3), True)),
    "global-average-pool": (
        pooling("AVERAGE", "VALID", is_global=True),
        lambda x: x.mean((2, 3), True),
    ),
    "scale": (
        lambda b: b.add_scale("layer", SCALE, None, False, "x", "y", [4]),
        lambda x: x * torch.from_numpy(SCALE).reshape(4, 1, 1),
    ),
    "relu": (activation("RELU"), functional.relu),
    "linear": (activation("LINEAR", [-2.0, 0.5]), lambda x: -2 * x + 0.5),
    "hard-sigmoid": (
        activation("SIGMOID_HARD", [0.2, 0.5]),
        lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    ),
    "threshold": (
        lambda b: b.add_unary("layer", "x", "y", "threshold", alpha=-0.5, shift=0.25, scale=-2.0),
        lambda x: torch.maximum(torch.tensor(-0.5), -2 * x + 0.25),
    ),
    "add-to-itself": (
        lambda b: b.add_elementwise("layer", ["x", "x"], "y", "ADD"),
        lambda x: 2 * x,
    ),
    "concat": (
        lambda b: b.add_elementwise("layer", ["x", "x"], "y", "CONCAT"),
        lambda x: torch.cat([x, x], 1),
    ),
    "multiply-by-itself": (
        lambda b: b.add_elementwise("layer", ["x", "x"], "y", "MULTIPLY"),
        lambda x: x * x,
    ),
    "slice": (lambda b: b.add_slice("layer", "x", "y", "channel", 1, 3), lambda x: x[:, 1:3]),
    "softmax": (lambda b: b.add_softmax("layer", "x", "y"), lambda x: x.softmax(1)),
    "permute": (
        lambda b: b.add_permute("layer", (0, 3, 1, 2), "x", "y"),
        lambda x: x.permute(0, 3, 1, 2),
    ),
    "reshape": (
        lambda b: b.add_reshape("layer", "x", "y", (7, 4, 8), 0),
        lambda x: x.reshape(-1, 7, 4, 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_the_executor_gives_a_layer_of_apples_builder_its_meaning(name: str) -> None:
    add, by_torch = LAYERS[name]
    values = np.random.default_rng(3).standard_normal((2, 4, 7, 8)).astype(np.float32)
    result = executor.run(of_layer((4, 7, 8), add), values)
    expected = by_torch(torch.from_numpy(values)).numpy()
    assert result.shape == expected.shape
    assert result == pytest.approx(expected, abs=1e-5)


def test_a_sequence_is_an_axis_of_reshape_and_permute() -> None:
    def add(builder: Any) -> None:
        builder.add_reshape("split", "x", "split", (2, 2, 7, 8), 0)
        builder.add_permute("swap", (1, 0, 3, 2), "split", "swap")
        builder.add_reshape("join", "swap", "y", (1, 4, 8, 7), 0)

    values = np.random.default_rng(3).standard_normal((3, 4, 7, 8)).astype(np.float32)
    expected = values.reshape(3, 2, 2, 7, 8).transpose(0, 2, 1, 4, 3).reshape(3, 4, 8, 7)
    assert np.array_equal(executor.run(of_layer((4, 7, 8), add), values), expected)


@pytest.mark.parametrize(
    ("add", "name"),
    [
        (lambda b: b.add_lrn("layer", "x", "y", 1, 1, 3), "lrn"),
        (lambda b: b.add_unary("layer", "x", "y", "log"), "LOG"),
        (activation("ELU", 1.0), "ELU"),
        (activation("TANH"), "tanh"),
        (pooling("L2", "VALID"), "L2"),
        (pooling("AVERAGE", "VALID", exclude_pad_area=True, padding_left=1), "averages"),
        (convolution(border_mode="same"), "padding same"),
        (convolution(dilation_factors=[2, 3]), "dilated"),
        (lambda b: b.add_elementwise("layer", ["x"], "y", "ADD", alpha=3.0), "add of 1 inputs"),
        (lambda b: b.add_scale("layer", SCALE, SCALE, True, "x", "y", [4], [4]), "scales"),
        (lambda b: b.add_reshape("layer", "x", "y", (8, 14, 2), 1), "reshapes"),
        (lambda b: b.add_slice("layer", "x", "y", "height", 1, 3), "slices"),
        (lambda b: b.add_slice("layer", "x", "y", "channel", 1, -1), "slices"),
        (lambda b: b.add_slice("layer", "x", "y", "channel", 0, 4, 2), "slices"),
    ],
)
def test_what_is_not_interpreted_is_named(add: Callable[[Any], None], name: str) -> None:
    with pytest.raises(HwnasError, match=rf"does not interpret .*{name}"):
        executor.run(of_layer((4, 7, 8), add), np.zeros((1, 4, 7, 8)))


# The optional package -------------------------------------------------------------------------


def test_importing_the_target_does_not_import_coremltools() -> None:
    code = (
        "import sys, hwnas.targets.coreml.emitter, hwnas.targets.apple.versions;"
        "sys.exit('coremltools' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_package_names_the_command_that_mends_it(monkeypatch: Any) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name.partition(".")[0])

    monkeypatch.setattr(apple, "import_whole", absent)
    with pytest.raises(MissingPackage, match=r'pip install "hwnas\[coreml\]"'):
        versions.required_version(b"")
