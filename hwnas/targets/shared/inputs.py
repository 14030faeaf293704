"""The input that networks and their parts are timed on, and calibrated on when nothing is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def steady_input(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return |N(0, 1)| values, always the same: about what batch norm and ReLU6 leave."""
    values: NDArray[np.float32] = np.abs(np.random.default_rng(0).standard_normal(shape)).astype(
        "f4"
    )
    return values


def quantised(
    values: NDArray[np.float32], scale: float, zero_point: int, dtype: str = "int8"
) -> NDArray[np.integer]:
    """Return real values as the integers of a tensor.

    Args:
        values: real.
        scale: of the tensor; zero where the file gives none: its integers are the values.
        zero_point: of the tensor.
        dtype: an integer type.
    """
    limits = np.iinfo(dtype)
    whole = np.rint(values / (scale or 1.0)) + zero_point
    return np.asarray(np.clip(whole, limits.min, limits.max).astype(dtype))


def dequantised(values: NDArray[np.integer], scale: float, zero_point: int) -> NDArray[np.float32]:
    """Return the real values of the integers of a tensor."""
    real: NDArray[np.float32] = (values.astype(np.float32) - zero_point) * np.float32(scale or 1.0)
    return real
