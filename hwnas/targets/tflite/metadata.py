"""TFLite's own metadata: what image classifiers of the Task Library and MediaPipe ask a file for.

A flatbuffer of its own lies in the model's buffer "TFLITE_METADATA", and the labels in a zip
archive behind the model, which runtimes do not look at. The schema is append-only like TFLite's.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np

import hwnas
from hwnas.targets.tflite.flatbuffer import Offset, Writer, fields_of

if TYPE_CHECKING:
    from hwnas.graph import ImageInput, Shape

ENTRY = "TFLITE_METADATA"
"""Name of the entry among the model's own metadata."""

IDENTIFIER = b"M001"
LABELS_FILE = "labels.txt"

PARSER_VERSION = "1.0.0"
"""The first: no field is used that came later."""

RGB = 1
"""Number of the colour space."""
TENSOR_AXIS_LABELS = 2
"""Number of the file type: one label per index of the output's last axis."""
IMAGE_PROPERTIES = 2
"""Number of the table among the properties that a tensor's content may have."""
NORMALIZATION = 1
"""Number of the table among the steps that lead from an image to a tensor."""

TABLES = {
    "ModelMetadata": "name:offset description:offset version:offset subgraph_metadata:offset "
    "author:offset license:offset associated_files:offset min_parser_version:offset",
    "SubGraphMetadata": "name:offset description:offset input_tensor_metadata:offset "
    "output_tensor_metadata:offset",
    "TensorMetadata": "name:offset description:offset dimension_names:offset content:offset "
    "process_units:offset stats:offset associated_files:offset",
    "Content": "content_properties_type:ubyte content_properties:offset",
    "ImageProperties": "color_space:byte default_size:offset",
    "ImageSize": "width:uint height:uint",
    "ProcessUnit": "options_type:ubyte options:offset",
    "NormalizationOptions": "mean:offset std:offset",
    "Stats": "max:offset min:offset",
    "AssociatedFile": "name:offset description:offset type:byte",
}
"""Fields of each table in the schema's order, up to the last one that is written."""

FIELDS = fields_of(TABLES)

WHITE = 255.0
"""Brightest value of a channel; mean and std are on this scale here, and 1 is white in ours."""

EXPECTED_BYTES = 2048

PERMISSIONS = 0o644 << 16
"""Of the archived file, where zip keeps those of Unix."""


def describe(input_shape: Shape, images: ImageInput) -> bytes:
    """Return the metadata of a classifier, a flatbuffer.

    Args:
        input_shape: (3, height, width).
        images: normalisation and labels.

    Raises:
        MissingPackage: flatbuffers is not installed.
    """
    write = Writer(EXPECTED_BYTES, FIELDS)
    _, height, width = input_shape
    about = f"Classifier of {width}x{height} images into {len(images.labels)} classes"
    subgraph = write.table(
        "SubGraphMetadata",
        input_tensor_metadata=write.offsets([_input(write, width, height, images)]),
        output_tensor_metadata=write.offsets([_output(write)]),
    )
    model = write.table(
        "ModelMetadata",
        name=write.string("hwnas image classifier"),
        description=write.string(about),
        version=write.string(hwnas.__version__),
        subgraph_metadata=write.offsets([subgraph]),
        author=write.string("hwnas"),
        min_parser_version=write.string(PARSER_VERSION),
    )
    return write.finish(model, IDENTIFIER)


def with_labels(model: bytes, images: ImageInput) -> bytes:
    """Return a TFLite file with the labels as `LABELS_FILE` behind it.

    The archive's offsets count from the start of the whole, so that zip readers open it as it is.
    Stored and not deflated, as the readers of such files require; its date is always the same.
    """
    whole = io.BytesIO()
    whole.write(model)
    entry = zipfile.ZipInfo(LABELS_FILE)
    entry.external_attr = PERMISSIONS
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, label_lines(images.labels))
    return whole.getvalue()


def label_lines(labels: tuple[str, ...]) -> str:
    """Return one line per class; a label without visible characters is named by its number.

    Readers tell classes by their line, and some of them skip empty lines.
    """
    lines = (" ".join(label.split()) or f"class {index}" for index, label in enumerate(labels))
    return "".join(f"{line}\n" for line in lines)


def _input(write: Writer, width: int, height: int, images: ImageInput) -> Offset:
    size = write.table("ImageSize", width=width, height=height)
    image = write.table("ImageProperties", color_space=RGB, default_size=size)
    content = write.table(
        "Content", content_properties_type=IMAGE_PROPERTIES, content_properties=image
    )
    mean, std = np.array(images.mean), np.array(images.std)

    def floats(values: np.ndarray) -> Offset:
        return write.numbers(values.astype(np.float32))

    name, about = write.string("image"), write.string(f"RGB image, {width}x{height} pixels")
    # How a pixel v on the scale 0 to 255 enters the network: (v - mean) / std.
    normalised = write.table(
        "NormalizationOptions", mean=floats(mean * WHITE), std=floats(std * WHITE)
    )
    unit = write.table("ProcessUnit", options_type=NORMALIZATION, options=normalised)
    units = write.offsets([unit])
    stats = write.table("Stats", max=floats((1 - mean) / std), min=floats((0 - mean) / std))
    return write.table(
        "TensorMetadata",
        name=name,
        description=about,
        content=content,
        process_units=units,
        stats=stats,
    )


def _output(write: Writer) -> Offset:
    labels = write.table(
        "AssociatedFile",
        name=write.string(LABELS_FILE),
        description=write.string("one class per line"),
        type=TENSOR_AXIS_LABELS,
    )
    return write.table(
        "TensorMetadata",
        name=write.string("logits"),
        description=write.string("one score per class; their softmax is the probability"),
        associated_files=write.offsets([labels]),
    )
