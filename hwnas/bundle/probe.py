"""A fixed input that every device can make for itself, and the part of the output that is compared.

A hash tells that a file is the right one. That the device then ran that file, and not another one
or none, only its output tells. Outputs differ in the last digits between devices, so numbers are
compared, and not their hash.

The input is a formula in 32-bit integers, the same in Python, Swift and a shell:

    h(i) = (i + 1) * 2654435761 mod 2^32        (Knuth, The Art of Computer Programming, 6.4)
    float: floor(h(i) / 256) / 2^23 - 1         exact, in [-1, 1)
    uint8: floor(h(i) / 2^24)
    int8:  floor(h(i) / 2^24) - 128

where i counts the values of the input in the order in which the file holds them. Of an output of
n values, those at floor(j * n / m), j = 0 ... m - 1, are compared, with m = min(n, 64).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

POSITIONS = 64
TOLERANCES = {"fp32": 1e-3, "fp16": 0.05, "int8": 0.45}
"""By precision, relative to the length of what is expected; a wrong model is off by about 1.

Two runtimes round 8-bit values differently, and 36 blocks of random weights amplify that: up to
0.33 between LiteRT and tflite-runtime, while no two models came closer than 0.53."""


def given(shape: Sequence[int], dtype: str) -> NDArray[np.generic]:
    """Return the input of a model.

    Args:
        shape: in the order of the file.
        dtype: "float32", "float16", "int8" or "uint8".
    """
    counts = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
    hashes = counts * np.uint64(2654435761) % np.uint64(2**32)
    if dtype.startswith("float"):
        values = (hashes >> np.uint64(8)).astype(np.float64) / 2**23 - 1
        return values.astype(dtype).reshape(shape)
    top = (hashes >> np.uint64(24)).astype(np.int16)
    return (top - (128 if dtype == "int8" else 0)).astype(dtype).reshape(shape)


def positions(count: int) -> list[int]:
    """Return which of `count` output values are compared."""
    compared = min(count, POSITIONS)
    return [index * count // compared for index in range(compared)]


def sampled(output: NDArray[np.generic]) -> tuple[float, ...]:
    """Return the values of an output that are compared."""
    flat = output.reshape(-1)
    return tuple(float(flat[index]) for index in positions(len(flat)))


def distance(expected: Sequence[float], seen: Sequence[float]) -> float:
    """Return how far two samples are apart, relative to the length of the expected one.

    Samples of different sizes are infinitely far apart.
    """
    if len(expected) != len(seen):
        return math.inf
    length = math.sqrt(math.fsum(value * value for value in expected))
    gap = math.dist(expected, seen)
    return gap / length if length else (0.0 if not gap else math.inf)
