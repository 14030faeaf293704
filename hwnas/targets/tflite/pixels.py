"""Files that take pixels as they are: what MediaPipe and TFLite's Task Library ask of a classifier.

MediaPipe normalises by one mean and one std for all channels, and takes float32 or uint8. So the
file itself subtracts the mean of each channel, which is one addition per number of the image, and
1 / std moves into the first convolution; what is left is pixel / 255. Scores come out as float32.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import UserError
from hwnas.targets.shared import std
from hwnas.targets.shared.quantisation import WEIGHT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Weights
    from hwnas.graph.inputs import Triple

ONES: Triple = (1.0, 1.0, 1.0)
ZEROS: Triple = (0.0, 0.0, 0.0)


def as_taken(images: ImageInput) -> ImageInput:
    """Return the normalisation of who feeds the file: pixel / 255 and no more."""
    return replace(images, mean=ZEROS, std=ONES)


def adapted(
    graph: Graph, weights: Weights, images: ImageInput, precision: str
) -> tuple[Weights, ImageInput]:
    """Return weights and normalisation inside such a file: std 1, and the mean as it is stored.

    Raises:
        UserError: something else than convolutions reads the image.
    """
    if not std.can_fold(graph):
        raise UserError("a file for MediaPipe needs a network whose convolutions read the image.")
    mean = _in_8_bits(images.mean) if precision == "int8" else images.mean
    return std.folded(graph, weights, images.std), replace(images, mean=mean, std=ONES)


def in_steps(values: Sequence[float]) -> tuple[NDArray[np.int8], float]:
    """Return numbers as integers and their unit, as an 8-bit file holds the channels' mean."""
    largest = max(map(abs, values))
    scale = largest / WEIGHT_LIMIT if largest else 1.0
    return np.rint(np.array(values) / scale).astype(np.int8), scale


def _in_8_bits(mean: Triple) -> Triple:
    whole, scale = in_steps(mean)
    red, green, blue = (float(each * scale) for each in whole)
    return red, green, blue
