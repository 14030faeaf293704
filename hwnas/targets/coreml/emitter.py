"""Graph to Core ML neural network of specification version 1, which iOS 11 and later run.

Newer layers are left alone on purpose; see `writer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.graph import INPUT
from hwnas.targets.apple import classifier, require, versions
from hwnas.targets.apple.classifier import IMAGE, LABEL, OUTPUT, PIXEL_SCALE, PROBABILITIES
from hwnas.targets.coreml import storage
from hwnas.targets.coreml.writer import Writer
from hwnas.targets.shared import std

if TYPE_CHECKING:
    from hwnas.graph import ImageInput, Shape, Weights
    from hwnas.targets.shared.format import Content


def emit(content: Content) -> bytes:
    """Return a serialised Core ML model (the content of a .mlmodel file).

    A classifier reads "image", RGB of the graph's resolution; its outputs are "classLabel" and the
    dictionary "probabilities". Without images, for timing on a device, it is a model of one
    float32 array "input" to one float32 array "output". Equal content gives equal bytes.

    Args:
        content: precisions are those of `storage`.

    Raises:
        UserError: the graph is no classifier of RGB images into these labels.
        CheckFailed: a weight is beyond the range of float16.
        MissingPackage: coremltools is not installed.
    """
    images = content.images
    builder = _of_arrays(content) if images is None else _of_images(content, images)
    spec = builder.spec
    storage.store(getattr(spec, spec.WhichOneof("Type")).layers, content.precision)
    spec.specificationVersion = versions.required_version(spec)
    classifier.describe(spec.description, content.metadata, images)
    # Maps have no order of their own, and a file's hash must not depend on chance.
    return bytes(spec.SerializeToString(deterministic=True))


def as_stored(content: Content) -> Weights:
    """Return the weights as a file of `emit` holds them, for images that are normalised."""
    return std.stored(content, lambda folded: storage.as_stored(folded, content.precision))


def _of_arrays(content: Content) -> Any:
    graph = content.graph
    builder = _new_builder({INPUT: graph.input_shape}, {OUTPUT: graph.output.shape}, mode=None)
    Writer(builder, content.weights, {graph.output.name: OUTPUT}).output(graph, INPUT)
    return builder


def _of_images(content: Content, images: ImageInput) -> Any:
    graph = content.graph
    classifier.check(graph, images)
    held, left = std.taken_in(graph, content.weights, images.std)
    builder = _new_builder({IMAGE: graph.input_shape}, {PROBABILITIES: (1,)}, mode="classifier")
    writer = Writer(builder, held, {})
    scores = writer.output(graph, IMAGE if left is None else writer.divided(IMAGE, left))
    builder.add_softmax(PROBABILITIES, scores, PROBABILITIES)
    builder.set_class_labels(list(images.labels), LABEL, PROBABILITIES)
    red, green, blue = images.mean
    builder.set_pre_processing_parameters(
        image_input_names=[IMAGE],
        is_bgr=False,
        red_bias=-red,
        green_bias=-green,
        blue_bias=-blue,
        image_scale=PIXEL_SCALE,
    )
    return builder


def _new_builder(inputs: dict[str, Shape], outputs: dict[str, Shape], mode: str | None) -> Any:
    array = require("models.datatypes").Array
    features = [
        [(name, array(*shape)) for name, shape in part.items()] for part in (inputs, outputs)
    ]
    network = require("models.neural_network")
    return network.NeuralNetworkBuilder(*features, mode=mode, use_float_arraytype=True)
