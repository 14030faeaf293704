"""An image classifier as Core ML describes it, whatever its format: names, texts, origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import hwnas
from hwnas.errors import HwnasError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput

IMAGE, LABEL, PROBABILITIES = "image", "classLabel", "probabilities"
"""Names of a classifier's input and outputs."""

OUTPUT = "output"
"""Name of the array that a model gives which is to be timed; it takes "input"."""

PIXEL_SCALE = 1 / 255


def check(graph: Graph, images: ImageInput) -> None:
    """Check that a graph classifies RGB images into the labels; raises UserError."""
    if len(graph.input_shape) != 3 or graph.input_shape[0] != 3:
        raise UserError(f"an image has 3 channels, but the graph reads {graph.input_shape}")
    if graph.output.shape != (len(images.labels),):
        raise UserError(
            "a classifier needs one label per score, but got "
            f"labels={len(images.labels)}, output={graph.output.shape}"
        )


def describe(
    description: Any, metadata: Mapping[str, str], images: ImageInput | None = None
) -> None:
    """Write into a model's description who made it, and what a classifier reads and gives.

    Args:
        description: of the model, a protobuf.
        metadata: texts by name, stored as user-defined metadata.
        images: labels of a classifier.
    """
    about = description.metadata
    about.author = "hwnas"
    about.versionString = hwnas.__version__
    about.userDefined.update(metadata)
    if images is None:
        return
    image = description.input[0].type.imageType
    size = f"{image.width}x{image.height}"
    texts = {
        IMAGE: f"RGB image, {size} pixels",
        LABEL: "most probable class",
        PROBABILITIES: "probability of each class",
    }
    for feature in (*description.input, *description.output):
        feature.shortDescription = texts[feature.name]
    about.shortDescription = f"Classifier of {size} images into {len(images.labels)} classes"


def pixels_of(spec: Any, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB images (n, height, width, 3) as a model (protobuf) reads them: (n, 3, h, w).

    Raises:
        UserError: they do not have the size that the model states.
        HwnasError: the model reads images of another colour space.
    """
    image = spec.description.input[0].type.imageType
    if images.dtype != np.uint8 or images.shape[1:] != (image.height, image.width, 3):
        raise UserError(
            f"the model reads uint8 images (n, {image.height}, {image.width}, 3), but got "
            f"{images.dtype} {images.shape}"
        )
    space = image.ColorSpace.Name(image.colorSpace)
    if space != "RGB":
        raise HwnasError(f"the executor does not interpret images of colour space {space}")
    return images.transpose(0, 3, 1, 2)
