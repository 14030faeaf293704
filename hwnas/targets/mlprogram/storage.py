"""What an ML Program makes of weights and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.targets.shared import half, std
from hwnas.targets.shared.quantisation import WEIGHT_LIMIT, column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.graph import Weights
    from hwnas.targets.shared.format import Content

WEIGHT_THRESHOLD = 2048
"""Weights of no more numbers than this stay in float16: 8 bits would save little there."""


def as_stored(content: Content) -> Weights:
    """Return the weights as a file holds them, for images that are normalised.

    Raises:
        CheckFailed: a weight is beyond the range of float16.
    """
    if content.precision == "fp32":
        return content.weights
    return std.stored(content, _quantised if content.precision == "int8" else half.halved)


def takes_8_bits(weight: NDArray[np.float32]) -> bool:
    """Return whether a weight is large enough for 8 bits."""
    return weight.size > WEIGHT_THRESHOLD


def in_8_bits(
    weight: NDArray[np.float32], name: str
) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Return symmetric integers and their scale per output channel, in float16 as values are.

    Scales are rounded up, so that no weight is beyond 127 of them: below 6e-5 float16 has few
    numbers left.

    Raises:
        CheckFailed: a weight is beyond the range of float16.
    """
    half.half(weight, name)
    exact = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / WEIGHT_LIMIT
    nearest = np.maximum(exact, np.finfo(np.float16).smallest_subnormal).astype(np.float16)
    scales = np.where(nearest < exact, np.nextafter(nearest, np.float16(np.inf)), nearest)
    real = column(scales.astype(np.float64), weight)
    whole = np.rint(weight / real).astype(np.int8)
    half.half(whole * real, name)
    return whole, scales


def _quantised(weights: Weights) -> Weights:
    return {
        name: (_dequantised(weight, name) if takes_8_bits(weight) else held, bias)
        for (name, (held, bias)), (weight, _) in zip(
            half.halved(weights).items(), weights.values(), strict=True
        )
    }


def _dequantised(weight: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Return scale * integer, which is rounded to float16 like every value."""
    whole, scales = in_8_bits(weight, name)
    return half.half(whole * column(scales.astype(np.float32), weight), name).astype(np.float32)
