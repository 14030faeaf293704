"""Graph to a Core ML ML Program, by coremltools' builder of its intermediate language (MIL)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.targets.apple import classifier, require
from hwnas.targets.apple.classifier import IMAGE, LABEL, OUTPUT, PIXEL_SCALE
from hwnas.targets.mlprogram import package
from hwnas.targets.mlprogram.garbage import young_garbage_only
from hwnas.targets.mlprogram.writer import Writer
from hwnas.targets.shared import std
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hwnas.graph import ImageInput
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.format import Content

SCORES = "softmax"
"""Name of the probabilities inside the program."""

CLASSIFIER_PASSES = (
    "common::detect_concat_interleave",
    "common::const_deduplication",
    "common::noop_elimination",
    "common::topological_reorder",
    "common::dead_code_elimination",
)
"""All that is left to coremltools for a classifier: its other 90 passes change nothing in these
programs, and it checks the whole program after each (`tests/test_mlprogram.py`)."""
PART_PASSES = (
    "common::noop_elimination",
    "common::cast_optimization",
    "common::dead_code_elimination",
)
"""The same for a model that is to be timed: its other passes change nothing in these
programs, and take three to ten times as long (`tests/test_device_models.py`)."""


def emit(content: Content) -> Artifact:
    """Return the content of a .mlpackage folder, for iOS 15, or iOS 16 in 8 bits.

    A classifier reads "image", RGB of the graph's resolution; its outputs are "classLabel" and the
    dictionary "probabilities". Without images, for timing on a device, it is a program of one
    float32 array "input" to one float32 array "output", of batch 1: iOS 15 has no others. Equal
    content gives equal bytes.

    Args:
        content: "fp16" is of values and weights; "int8" of large weights, one symmetric scale per
            output channel, and the rest is fp16.

    Raises:
        UserError: the graph is no classifier of RGB images into these labels.
        CheckFailed: a weight is beyond the range of float16.
        MissingPackage: coremltools is not installed.
    """
    images = content.images
    if images is not None:
        classifier.check(content.graph, images)
    require("converters")  # says so when coremltools is missing, and keeps it quiet
    with quietly("coremltools", "an ML Program"), young_garbage_only():
        if images is not None:
            model = _classifier(content, images)
        else:
            model = _converted(content, _program_of_arrays(content), PART_PASSES)
        return package.saved(model, content.metadata, images)


def _classifier(content: Content, images: ImageInput) -> Any:
    import coremltools as tools

    red, green, blue = images.mean
    image = tools.ImageType(
        name=IMAGE,
        shape=(1, *content.graph.input_shape),
        scale=PIXEL_SCALE,
        bias=[-red, -green, -blue],
    )
    return _converted(
        content,
        _program_of_images(content, images),
        CLASSIFIER_PASSES,
        inputs=[image],
        classifier_config=tools.ClassifierConfig(list(images.labels), LABEL, SCORES),
    )


def _target(content: Content) -> Any:
    """Return the system that a program is for."""
    import coremltools as tools

    return tools.target.iOS16 if content.precision == "int8" else tools.target.iOS15


def _converted(content: Content, program: Any, passes: Sequence[str], **options: Any) -> Any:
    """Return coremltools' model of a MIL program, in the types that the program has."""
    import coremltools as tools

    return tools.convert(
        program,
        convert_to="mlprogram",
        compute_precision=tools.precision.FLOAT32,  # as written: the writer chose the types
        minimum_deployment_target=_target(content),
        pass_pipeline=tools.PassPipeline(list(passes), "hwnas"),
        skip_model_load=True,
        **options,
    )


def _program_of_arrays(content: Content) -> Any:
    """Return the MIL program from "input" to "output"; casts to the same type fall away later."""
    graph, builder = content.graph, require("converters.mil").Builder
    writer = Writer(builder, content.weights, content.precision)
    inside = "fp32" if content.precision == "fp32" else "fp16"

    def body(input: Any) -> Any:  # noqa: A002 - the argument's name is the input's
        result = writer.output(graph, builder.cast(x=input, dtype=inside, name="input.cast"))
        return builder.cast(x=result, dtype="fp32", name=OUTPUT)

    return _program(content, body)


def _program_of_images(content: Content, images: ImageInput) -> Any:
    """Return the MIL program: image in [0, 1] less its mean, to probabilities in float32."""
    graph, builder = content.graph, require("converters.mil").Builder
    held, left = std.taken_in(graph, content.weights, images.std)
    writer = Writer(builder, held, content.precision)

    def body(image: Any) -> Any:  # the argument's name is the input's
        if left is not None:
            scale = (1 / np.array(left, np.float32)).reshape(1, 3, 1, 1)
            image = builder.mul(x=image, y=scale, name=f"{IMAGE}.scaled")
        scores = writer.output(graph, writer.begin(image))
        return builder.softmax(x=writer.end(scores), axis=1, name=SCORES)

    return _program(content, body)


def _program(content: Content, body: Callable[[Any], Any]) -> Any:
    builder = require("converters.mil").Builder
    spec = builder.TensorSpec(shape=(1, *content.graph.input_shape))
    return builder.program(input_specs=[spec], opset_version=_target(content))(body)
