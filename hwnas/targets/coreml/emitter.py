"""Graph to Core ML neural network of specification version 1, which iOS 11 and later run.

Newer layers are left alone on purpose. ReLU6 has its own layer (clip) only from version 4 on, and
so has a reshape that takes any rank; both are spelled with layers of version 1 here, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.graph import INPUT, Add, Conv, GlobalAvgPool, Linear, Shuffle
from hwnas.targets.apple import classifier, require, std, versions
from hwnas.targets.apple.classifier import IMAGE, LABEL, PIXEL_SCALE, PROBABILITIES
from hwnas.targets.coreml import storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import Graph, ImageInput, Node, Shape, Weights
    from hwnas.graph.inputs import Triple

PART_INPUT, PART_OUTPUT = "input", "output"
"""Names of the arrays that a part of a network reads and writes."""


def emit(
    graph: Graph,
    weights: Weights,
    images: ImageInput,
    metadata: Mapping[str, str],
    precision: str = "fp32",
) -> bytes:
    """Return an image classifier as a serialised Core ML model (the content of a .mlmodel file).

    The input "image" is RGB of the graph's resolution; the outputs are "classLabel" and the
    dictionary "probabilities". Equal arguments give equal bytes.

    Args:
        graph: reads an image (3, height, width) and returns one score per class.
        weights: weight and bias of every convolution and linear node.
        images: normalisation and labels.
        metadata: provenance, stored as the model's user-defined metadata.
        precision: how weights are stored, "fp32", "fp16" or "int8"; see `storage`.

    Raises:
        UserError: the graph is no classifier of RGB images into these labels.
        CheckFailed: a weight is beyond the range of float16.
        MissingPackage: coremltools is not installed.
    """
    classifier.check(graph, images)
    foldable = std.can_fold(graph)
    folded = std.folded(graph, weights, images.std) if foldable else weights
    builder = _new_builder({IMAGE: graph.input_shape}, {PROBABILITIES: (1,)}, mode="classifier")
    writer = _Writer(builder, folded, {INPUT: IMAGE})
    if not foldable:
        writer.divide_input(images.std)
    for node in graph:
        writer.add(node)
    builder.add_softmax(PROBABILITIES, graph.output.name, PROBABILITIES)
    builder.set_class_labels(list(images.labels), LABEL, PROBABILITIES)
    _set_preprocessing(builder, images)
    classifier.describe(builder.spec.description, images)
    storage.store(builder.spec.neuralNetworkClassifier.layers, precision)
    builder.spec.specificationVersion = versions.required_version(builder.spec)
    return _finished(builder, metadata)


def as_stored(graph: Graph, weights: Weights, images: ImageInput, precision: str) -> Weights:
    """Return the weights as a file of `emit` holds them, for images that are normalised."""
    return std.stored(
        graph, weights, images.std, lambda folded: storage.as_stored(folded, precision)
    )


def emit_part(graph: Graph, weights: Weights, metadata: Mapping[str, str]) -> bytes:
    """Return a part of a network, float32 array "input" to float32 array "output".

    For timing on a device: any graph will do, there is no image, softmax or label.

    Raises:
        MissingPackage: coremltools is not installed.
    """
    shapes = {PART_INPUT: graph.input_shape}, {PART_OUTPUT: graph.output.shape}
    builder = _new_builder(*shapes, mode=None)
    writer = _Writer(builder, weights, {INPUT: PART_INPUT, graph.output.name: PART_OUTPUT})
    for node in graph:
        writer.add(node)
    return _finished(builder, metadata)


def _new_builder(inputs: dict[str, Shape], outputs: dict[str, Shape], mode: str | None) -> Any:
    array = require("models.datatypes").Array
    features = [
        [(name, array(*shape)) for name, shape in part.items()] for part in (inputs, outputs)
    ]
    network = require("models.neural_network")
    return network.NeuralNetworkBuilder(*features, mode=mode, use_float_arraytype=True)


def _set_preprocessing(builder: Any, images: ImageInput) -> None:
    red, green, blue = images.mean
    builder.set_pre_processing_parameters(
        image_input_names=[IMAGE],
        is_bgr=False,
        red_bias=-red,
        green_bias=-green,
        blue_bias=-blue,
        image_scale=PIXEL_SCALE,
    )


def _finished(builder: Any, metadata: Mapping[str, str]) -> bytes:
    classifier.describe_origin(builder.spec.description, metadata)
    # Maps have no order of their own, and a file's hash must not depend on chance.
    return bytes(builder.spec.SerializeToString(deterministic=True))


# Layers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Writer:
    """Adds the layers of a node; the blob of a value has its name unless `blobs` has another."""

    builder: Any
    weights: Weights
    blobs: dict[str, str]

    def add(self, node: Node) -> None:
        target = self._blob(node.name)
        sources = [self._blob(name) for name in node.inputs]
        match node.op:
            case Conv():
                self._conv(node.name, node.op, sources[0], target)
            case Shuffle():
                self._shuffle(node, node.op.groups, sources[0], target)
            case Add():
                self.builder.add_elementwise(target, sources, target, "ADD")
            case GlobalAvgPool():
                self._global_avg_pool(sources[0], target)
            case Linear():
                self._linear(node.name, node.op, sources[0], target)

    def divide_input(self, by: Triple) -> None:
        """Scale the channels of the input for all its readers."""
        source, target = self.blobs[INPUT], f"{self.blobs[INPUT]}.scaled"
        shape = [len(by)]
        scale = 1 / np.asarray(by)
        self.builder.add_scale(target, scale, None, False, source, target, shape)
        self.blobs[INPUT] = target

    def _blob(self, name: str) -> str:
        return self.blobs.get(name, name)

    def _conv(self, name: str, op: Conv, source: str, target: str) -> None:
        weight, bias = self.weights[name]
        result = target if op.activation is None else f"{name}.conv"
        pad = op.kernel // 2
        self.builder.add_convolution(
            result,
            kernel_channels=op.in_channels // op.groups,
            output_channels=op.out_channels,
            height=op.kernel,
            width=op.kernel,
            stride_height=op.stride,
            stride_width=op.stride,
            # "same" would pad stride 2 at the bottom right only.
            border_mode="valid",
            padding_top=pad,
            padding_bottom=pad,
            padding_left=pad,
            padding_right=pad,
            groups=op.groups,
            W=weight.transpose(2, 3, 1, 0),
            b=bias,
            has_bias=True,
            input_name=source,
            output_name=result,
        )
        match op.activation:
            case "relu6":
                self._relu6(name, result, target)
            case "relu":
                self.builder.add_activation(target, "RELU", result, target)

    def _relu6(self, name: str, source: str, target: str) -> None:
        """Add min(6, x) as -max(-6, -x), after max(0, x)."""
        positive, negated = f"{name}.relu", f"{name}.negated"
        self.builder.add_activation(positive, "RELU", source, positive)
        self.builder.add_unary(negated, positive, negated, "threshold", alpha=-6.0, scale=-1.0)
        self.builder.add_activation(target, "LINEAR", negated, target, [-1.0, 0.0])

    def _shuffle(self, node: Node, groups: int, source: str, target: str) -> None:
        channels, height, width = node.shape
        split, swapped = f"{node.name}.split", f"{node.name}.swapped"
        self.builder.add_reshape(
            split, source, split, (groups, channels // groups, height * width), mode=0
        )
        # Axes are sequence, channel, height, width.
        self.builder.add_permute(swapped, (0, 2, 1, 3), split, swapped)
        self.builder.add_reshape(target, swapped, target, node.shape, mode=0)

    def _global_avg_pool(self, source: str, target: str) -> None:
        self.builder.add_pooling(
            target, 0, 0, 1, 1, "AVERAGE", "VALID", source, target, is_global=True
        )

    def _linear(self, name: str, op: Linear, source: str, target: str) -> None:
        weight, bias = self.weights[name]
        self.builder.add_inner_product(
            target,
            W=weight,
            b=bias,
            input_channels=op.in_features,
            output_channels=op.out_features,
            has_bias=True,
            input_name=source,
            output_name=target,
        )
