"""Graph to a Core ML ML Program, by coremltools' builder of its intermediate language (MIL)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.graph import INPUT
from hwnas.targets.apple import classifier, require
from hwnas.targets.apple.classifier import IMAGE, LABEL, PIXEL_SCALE
from hwnas.targets.mlprogram import package
from hwnas.targets.mlprogram.garbage import young_garbage_only
from hwnas.targets.mlprogram.writer import Writer
from hwnas.targets.shared import std
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.graph import Graph, ImageInput, Weights
    from hwnas.targets.shared.artifact import Artifact

SCORES = "softmax"
"""Name of the probabilities inside the program."""
PART_OUTPUT = "output"
"""Name of the array that a model of `emit_part` writes; it reads "input"."""

CLASSIFIER_PASSES = (
    "common::detect_concat_interleave",
    "common::const_deduplication",
    "common::noop_elimination",
    "common::topological_reorder",
    "common::dead_code_elimination",
)
"""All that `emit` leaves to coremltools: its other 90 passes change nothing in these programs, and
coremltools checks the whole program after each (`tests/test_mlprogram.py`)."""
PART_PASSES = (
    "common::noop_elimination",
    "common::cast_optimization",
    "common::dead_code_elimination",
)
"""All that `emit_part` leaves to coremltools: its other passes change nothing in these
programs, and take three to ten times as long (`tests/test_device_models.py`)."""


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
    with quietly("coremltools", "an ML Program"), young_garbage_only():
        target = _target(later=precision == "int8")
        model = _converted(
            _program(graph, weights, images, precision, target),
            target,
            CLASSIFIER_PASSES,
            inputs=[image],
            classifier_config=tools.ClassifierConfig(list(images.labels), LABEL, SCORES),
        )
        return package.classifier_of(model, images, metadata)


def emit_part(
    graph: Graph,
    weights: Weights,
    metadata: Mapping[str, str],
    precision: str = "fp16",
    arrays: str = "float32",
) -> Artifact:
    """Return any graph as a program of one array "input" to one array "output", of batch 1.

    For timing on a device: there is no image, softmax or label.

    Args:
        graph: a part of a network, or a whole one.
        weights: weight and bias of every convolution and linear node.
        metadata: provenance.
        precision: of values and weights, as in `emit`.
        arrays: type of both arrays, "float32", or "float16", which takes iOS 16. Where values are
            in another type, the program converts.

    Raises:
        CheckFailed: a weight is beyond the range of float16.
        MissingPackage: coremltools is not installed.
    """
    require("converters")  # says so when coremltools is missing, and keeps it quiet
    with quietly("coremltools", "an ML Program"), young_garbage_only():
        return _part(graph, weights, metadata, precision, arrays)


def _part(
    graph: Graph, weights: Weights, metadata: Mapping[str, str], precision: str, arrays: str
) -> Artifact:
    target = _target(later=precision == "int8" or arrays == "float16")
    program = _part_program(graph, weights, precision, arrays, target)
    model = _converted(program, target, PART_PASSES)
    return package.saved(model, lambda spec: classifier.describe_origin(spec.description, metadata))


def _target(*, later: bool) -> Any:
    """Return the system that a program is for: iOS 15, or 16 where that is not enough."""
    import coremltools as tools

    return tools.target.iOS16 if later else tools.target.iOS15


def _converted(program: Any, target: Any, passes: Sequence[str], **options: Any) -> Any:
    """Return coremltools' model of a MIL program, in the types that the program has."""
    import coremltools as tools

    return tools.convert(
        program,
        convert_to="mlprogram",
        compute_precision=tools.precision.FLOAT32,  # as written: the writer chose the types
        minimum_deployment_target=target,
        pass_pipeline=tools.PassPipeline(list(passes), "hwnas"),
        skip_model_load=True,
        **options,
    )


def _part_program(graph: Graph, weights: Weights, precision: str, arrays: str, target: Any) -> Any:
    """Return the MIL program from "input" to "output"; casts to the same type fall away later."""
    builder, types = require("converters.mil").Builder, require("converters.mil.mil").types
    writer = Writer(builder, weights, precision)
    kind = "fp16" if arrays == "float16" else "fp32"
    inside = "fp32" if precision == "fp32" else "fp16"

    def body(input: Any) -> Any:  # noqa: A002 - the argument's name is the input's
        values = {INPUT: builder.cast(x=input, dtype=inside, name="input.cast")}
        for node in graph:
            values[node.name] = writer.add(node, [values[name] for name in node.inputs])
        return builder.cast(x=values[graph.output.name], dtype=kind, name=PART_OUTPUT)

    spec = builder.TensorSpec(shape=(1, *graph.input_shape), dtype=getattr(types, kind))
    return builder.program(input_specs=[spec], opset_version=target)(body)


def _program(
    graph: Graph, weights: Weights, images: ImageInput, precision: str, target: Any
) -> Any:
    """Return the MIL program: image in [0, 1] less its mean, to probabilities in float32."""
    builder = require("converters.mil").Builder
    held, left = std.taken_in(graph, weights, images.std)
    writer = Writer(builder, held, precision)

    def body(image: Any) -> Any:
        if left is not None:
            scale = (1 / np.array(left, np.float32)).reshape(1, 3, 1, 1)
            image = builder.mul(x=image, y=scale, name=f"{IMAGE}.scaled")
        values = {INPUT: writer.begin(image)}
        for node in graph:
            values[node.name] = writer.add(node, [values[name] for name in node.inputs])
        return builder.softmax(x=writer.end(values[graph.output.name]), axis=1, name=SCORES)

    spec = builder.TensorSpec(shape=(1, *graph.input_shape))
    # The name of the function's argument is the input's.
    return builder.program(input_specs=[spec], opset_version=target)(body)
