"""Graph to Core ML neural network of specification version 1, which iOS 11 and later run.

Newer layers are left alone on purpose; see `writer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import hwnas
from hwnas.errors import UserError
from hwnas.graph import INPUT, Conv
from hwnas.targets.coreml import require
from hwnas.targets.coreml.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Shape, Weights
    from hwnas.graph.inputs import Triple

IMAGE, LABEL, PROBABILITIES = "image", "classLabel", "probabilities"
"""Names of a classifier's input and outputs."""

PART_INPUT, PART_OUTPUT = "input", "output"
"""Names of the arrays that a part of a network reads and writes."""

PIXEL_SCALE = 1 / 255


def emit(graph: Graph, weights: Weights, images: ImageInput, metadata: Mapping[str, str]) -> bytes:
    """Return an image classifier as a serialised Core ML model (the content of a .mlmodel file).

    The input "image" is RGB of the graph's resolution; the outputs are "classLabel" and the
    dictionary "probabilities". Equal arguments give equal bytes.

    Args:
        graph: reads an image (3, height, width) and returns one score per class.
        weights: weight and bias of every convolution and linear node.
        images: normalisation and labels.
        metadata: provenance, stored as the model's user-defined metadata.

    Raises:
        UserError: the graph is no classifier of RGB images into these labels.
        MissingPackage: coremltools is not installed.
    """
    _check(graph, images)
    foldable = _std_can_be_folded(graph)
    folded = _with_std_folded(graph, weights, images.std) if foldable else weights
    builder = _new_builder({IMAGE: graph.input_shape}, {PROBABILITIES: (1,)}, mode="classifier")
    writer = Writer(builder, folded, {INPUT: IMAGE})
    if not foldable:
        writer.divide_input(images.std)
    for node in graph:
        writer.add(node)
    builder.add_softmax(PROBABILITIES, graph.output.name, PROBABILITIES)
    builder.set_class_labels(list(images.labels), LABEL, PROBABILITIES)
    _set_preprocessing(builder, images)
    _describe_classifier(builder.spec.description, images)
    return _finished(builder, metadata)


def emit_part(graph: Graph, weights: Weights, metadata: Mapping[str, str]) -> bytes:
    """Return a part of a network, float32 array "input" to float32 array "output".

    For timing on a device: any graph will do, there is no image, softmax or label.

    Raises:
        MissingPackage: coremltools is not installed.
    """
    shapes = {PART_INPUT: graph.input_shape}, {PART_OUTPUT: graph.output.shape}
    builder = _new_builder(*shapes, mode=None)
    writer = Writer(builder, weights, {INPUT: PART_INPUT, graph.output.name: PART_OUTPUT})
    for node in graph:
        writer.add(node)
    return _finished(builder, metadata)


def _check(graph: Graph, images: ImageInput) -> None:
    if len(graph.input_shape) != 3 or graph.input_shape[0] != 3:
        raise UserError(f"an image has 3 channels, but the graph reads {graph.input_shape}")
    if graph.output.shape != (len(images.labels),):
        raise UserError(
            "a classifier needs one label per score, but got "
            f"labels={len(images.labels)}, output={graph.output.shape}"
        )


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


def _describe_classifier(description: Any, images: ImageInput) -> None:
    image = description.input[0].type.imageType
    size = f"{image.width}x{image.height}"
    texts = {
        IMAGE: f"RGB image, {size} pixels",
        LABEL: "most probable class",
        PROBABILITIES: "probability of each class",
    }
    for feature in (*description.input, *description.output):
        feature.shortDescription = texts[feature.name]
    about = f"Classifier of {size} images into {len(images.labels)} classes"
    description.metadata.shortDescription = about


def _finished(builder: Any, metadata: Mapping[str, str]) -> bytes:
    about = builder.spec.description.metadata
    about.author = "hwnas"
    about.versionString = hwnas.__version__
    about.userDefined.update(metadata)
    # Maps have no order of their own, and a file's hash must not depend on chance.
    return bytes(builder.spec.SerializeToString(deterministic=True))


# Normalisation --------------------------------------------------------------------------------
#
# The preprocessing of Core ML has one scale for all channels, so 1 / std of each channel moves
# into the convolutions that read the image. This is exact at the borders as well: a padded zero
# stays zero under any scale.


def _std_can_be_folded(graph: Graph) -> bool:
    return all(isinstance(node.op, Conv) for node in graph if INPUT in node.inputs)


def _with_std_folded(graph: Graph, weights: Weights, std: Triple) -> Weights:
    folded = dict(weights)
    for node in graph:
        if isinstance(node.op, Conv) and INPUT in node.inputs:
            weight, bias = weights[node.name]
            folded[node.name] = ((weight / _std_of_weights(node.op, std)).astype(np.float32), bias)
    return folded


def _std_of_weights(op: Conv, std: Triple) -> NDArray[np.float64]:
    """Return the std of the channel that each weight reads, as (out, in / groups, 1, 1)."""
    of_group = np.asarray(std).reshape(op.groups, -1)
    return np.repeat(of_group, op.out_channels // op.groups, axis=0)[:, :, None, None]
