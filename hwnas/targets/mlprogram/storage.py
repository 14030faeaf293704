"""What an ML Program makes of weights and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.targets import half
from hwnas.targets.apple import std

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import Graph, ImageInput, Weights

WEIGHT_THRESHOLD = 2048
"""Weights of no more numbers than this stay in float16: 8 bits would save little there."""

WEIGHT_LIMIT = 127

RESOLUTION = 2**-10
"""Of float16: its significand has 11 bits."""


def as_stored(graph: Graph, weights: Weights, images: ImageInput, precision: str) -> Weights:
    """Return the weights as a file holds them, for images that are normalised.

    But for what float16 has no number for: in arrays of fewer than 400, coremltools makes the
    smallest one (6e-8) of weights that would round to zero.

    Raises:
        CheckFailed: a weight is beyond the range of float16.
    """
    if precision == "fp32":
        return weights
    store = _quantised if precision == "int8" else half.halved
    return std.stored(graph, weights, images.std, store)


def rounded(name: str, value: Tensor) -> Tensor:  # noqa: ARG001 - the same for all values
    """Return a value as float16 holds it."""
    return half.rounded(value)


def _quantised(weights: Weights) -> Weights:
    return {
        name: (_in_8_bits(weight) if weight.size > WEIGHT_THRESHOLD else weight, bias)
        for name, (weight, bias) in half.halved(weights).items()
    }


def _in_8_bits(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float16(scale) * integer, one symmetric scale per output channel.

    The division is in float16 as well, as coremltools has it: it moves one integer in forty.
    """
    short = weight.astype(np.float16)
    largest = np.abs(short.reshape(len(short), -1)).max(axis=1).astype(np.float32)
    scale = np.maximum(largest / WEIGHT_LIMIT, np.finfo(np.float16).tiny).astype(np.float16)
    column = scale.reshape(-1, *[1] * (weight.ndim - 1))
    whole = np.clip(np.rint(short / column), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    result: NDArray[np.float32] = (whole * column).astype(np.float32)
    return result
