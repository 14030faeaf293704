"""Graph to a Core ML ML Program, by coremltools' builder of its intermediate language (MIL)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.graph import INPUT, Add, Conv, GlobalAvgPool, Linear, Shuffle
from hwnas.targets.apple import classifier, require, std
from hwnas.targets.apple.classifier import IMAGE, LABEL, PIXEL_SCALE, PROBABILITIES
from hwnas.targets.mlprogram import package
from hwnas.targets.mlprogram.storage import WEIGHT_THRESHOLD, as_stored
from hwnas.targets.quiet import quietly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import Graph, ImageInput, Node, Weights
    from hwnas.targets.artifact import Artifact

SCORES = "softmax"
"""Name of the probabilities inside the program."""


def emit(
    graph: Graph,
    weights: Weights,
    images: ImageInput,
    metadata: Mapping[str, str],
    precision: str = "fp16",
) -> Artifact:
    """Return an image classifier as the content of a .mlpackage folder.

    The input "image" is RGB of the graph's resolution; the outputs are "classLabel" and the
    dictionary "probabilities". Equal arguments give equal bytes.

    Args:
        graph: reads an image (3, height, width) and returns one score per class.
        weights: weight and bias of every convolution and linear node.
        images: normalisation and labels.
        metadata: provenance, stored as the model's user-defined metadata.
        precision: "fp32"; "fp16" for values and weights; "int8" for large weights, one symmetric
            scale per output channel, and fp16 for the rest, which takes iOS 16.

    Raises:
        UserError: the graph is no classifier of RGB images into these labels.
        CheckFailed: a weight is beyond the range of float16.
        MissingPackage: coremltools is not installed.
    """
    classifier.check(graph, images)
    require("converters")  # says so when coremltools is missing, and keeps it quiet
    import coremltools as tools

    red, green, blue = images.mean
    image = tools.ImageType(
        name=IMAGE,
        shape=(1, *graph.input_shape),
        scale=PIXEL_SCALE,
        bias=[-red, -green, -blue],
    )
    as_stored(graph, weights, images, precision)  # raises where float16 is not enough
    target = tools.target.iOS16 if precision == "int8" else tools.target.iOS15
    half = tools.precision.FLOAT32 if precision == "fp32" else tools.precision.FLOAT16
    with quietly("coremltools", "an ML Program"):
        model = tools.convert(
            _program(graph, weights, images, target),
            inputs=[image],
            classifier_config=tools.ClassifierConfig(list(images.labels), LABEL, SCORES),
            convert_to="mlprogram",
            compute_precision=half,
            minimum_deployment_target=target,
            skip_model_load=True,
        )
        if precision == "int8":
            model = _with_8_bit_weights(model, tools.optimize.coreml)
        return _packed(model, images, metadata)


def _program(graph: Graph, weights: Weights, images: ImageInput, target: Any) -> Any:
    """Return the MIL program: image in [0, 1] less its mean, to probabilities."""
    builder = require("converters.mil").Builder
    foldable = std.can_fold(graph)
    held = std.folded(graph, weights, images.std) if foldable else weights

    def body(image: Any) -> Any:
        values = {INPUT: image}
        if not foldable:
            scale = (1 / np.array(images.std, np.float32)).reshape(1, 3, 1, 1)
            values[INPUT] = builder.mul(x=image, y=scale, name=f"{IMAGE}.scaled")
        for node in graph:
            sources = [values[name] for name in node.inputs]
            values[node.name] = _operation(builder, node, sources, held)
        return builder.softmax(x=values[graph.output.name], axis=1, name=SCORES)

    spec = builder.TensorSpec(shape=(1, *graph.input_shape))
    # The name of the function's argument is the input's.
    return builder.program(input_specs=[spec], opset_version=target)(body)


def _operation(builder: Any, node: Node, sources: list[Any], weights: Weights) -> Any:
    first = sources[0]
    match node.op:
        case Conv() as op:
            return _conv(builder, node.name, op, first, weights)
        case Shuffle(groups):
            return _shuffle(builder, node, groups, first)
        case Add():
            return builder.add(x=first, y=sources[1], name=node.name)
        case GlobalAvgPool():
            return builder.reduce_mean(x=first, axes=[2, 3], keep_dims=False, name=node.name)
        case Linear():
            weight, bias = weights[node.name]
            return builder.linear(x=first, weight=weight, bias=bias, name=node.name)
    raise NotImplementedError(type(node.op).__name__)


def _conv(builder: Any, name: str, op: Conv, source: Any, weights: Weights) -> Any:
    weight, bias = weights[name]
    total = builder.conv(
        x=source,
        weight=weight,
        bias=bias,
        strides=[op.stride] * 2,
        pad_type="custom",
        pad=[op.kernel // 2] * 4,
        groups=op.groups,
        name=f"{name}.conv" if op.activation else name,
    )
    match op.activation:
        case "relu6":
            return builder.relu6(x=total, name=name)
        case "relu":
            return builder.relu(x=total, name=name)
        case None:
            return total


def _shuffle(builder: Any, node: Node, groups: int, source: Any) -> Any:
    channels, height, width = node.shape
    name, split = node.name, [1, groups, channels // groups, height, width]
    grouped = builder.reshape(x=source, shape=split, name=f"{name}.split")
    mixed = builder.transpose(x=grouped, perm=[0, 2, 1, 3, 4], name=f"{name}.swapped")
    return builder.reshape(x=mixed, shape=[1, channels, height, width], name=name)


def _with_8_bit_weights(model: Any, optimise: Any) -> Any:
    how = optimise.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype=np.int8, weight_threshold=WEIGHT_THRESHOLD
    )
    return optimise.linear_quantize_weights(
        model, config=optimise.OptimizationConfig(global_config=how)
    )


def _packed(model: Any, images: ImageInput, metadata: Mapping[str, str]) -> Artifact:
    rename = require("models.utils").rename_feature

    def describe(spec: Any) -> None:
        rename(spec, f"{LABEL}_probs", PROBABILITIES)  # the name that coremltools gives it
        classifier.describe(spec.description, images)
        classifier.describe_origin(spec.description, metadata)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mlpackage"
        model.save(str(path))
        return package.deterministic(path, describe)
