"""Graph to Core ML neural network of specification version 1, which iOS 11 and later run.

Newer layers are left alone on purpose; see `writer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.graph import INPUT
from hwnas.targets.apple import classifier, require, versions
from hwnas.targets.apple.classifier import IMAGE, LABEL, PIXEL_SCALE, PROBABILITIES
from hwnas.targets.coreml import storage
from hwnas.targets.coreml.writer import Writer
from hwnas.targets.shared import std

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import Graph, ImageInput, Shape, Weights

PART_INPUT, PART_OUTPUT = "input", "output"
"""Names of the arrays that a model of `emit_part` reads and writes."""


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
    held, left = std.taken_in(graph, weights, images.std)
    builder = _new_builder({IMAGE: graph.input_shape}, {PROBABILITIES: (1,)}, mode="classifier")
    writer = Writer(builder, held, {INPUT: IMAGE})
    if left is not None:
        writer.divide_input(left)
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


def emit_part(
    graph: Graph, weights: Weights, metadata: Mapping[str, str], precision: str = "fp32"
) -> bytes:
    """Return any graph as a model of one float32 array "input" to one float32 array "output".

    For timing on a device: there is no image, softmax or label.

    Args:
        graph: a part of a network, or a whole one.
        weights: weight and bias of every convolution and linear node.
        metadata: provenance.
        precision: how weights are stored, as in `emit`.

    Raises:
        CheckFailed: a weight is beyond the range of float16.
        MissingPackage: coremltools is not installed.
    """
    shapes = {PART_INPUT: graph.input_shape}, {PART_OUTPUT: graph.output.shape}
    builder = _new_builder(*shapes, mode=None)
    writer = Writer(builder, weights, {INPUT: PART_INPUT, graph.output.name: PART_OUTPUT})
    for node in graph:
        writer.add(node)
    storage.store(builder.spec.neuralNetwork.layers, precision)
    builder.spec.specificationVersion = versions.required_version(builder.spec)
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
