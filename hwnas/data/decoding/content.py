"""Hashes over decoded images, and statistics of their pixels."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES_AT_A_TIME = 256


def of_files(
    hashes: NDArray[np.uint8], classes: NDArray[np.int64], kept: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the hash over what was encoded, the same at whatever size it is decoded.

    Args:
        hashes: of every encoded image, (n, bytes).
        classes: of every image, (n,).
        kept: rows that count.
    """
    content = sha256(hashes[kept].tobytes() + classes[kept].tobytes())
    return {"files_digest": content.hexdigest()}


def of_pixels(
    pixels: NDArray[np.uint8], classes: NDArray[np.int64], kept: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the hash over pixels and classes; mean and standard deviation per channel.

    Args:
        pixels: of every image, (n, height, width, 3).
        classes: of every image, (n,).
        kept: rows that count.
    """
    content, levels = sha256(), np.zeros((3, 256), np.int64)
    for first in range(0, len(kept), IMAGES_AT_A_TIME):
        some = np.ascontiguousarray(pixels[kept[first : first + IMAGES_AT_A_TIME]])
        content.update(some.data)
        for channel in range(3):
            levels[channel] += np.bincount(some[..., channel].ravel(), minlength=256)
    content.update(classes[kept].tobytes())
    mean, std = _statistics(levels)
    return {"pixels_digest": content.hexdigest(), "mean": mean, "std": std}


def _statistics(levels: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel, to four digits, the latter above zero.

    Args:
        levels: how often each level occurs per channel, (3, 256).
    """
    scale = np.arange(256) / 255
    share = levels / np.maximum(1, levels.sum(axis=1, keepdims=True))
    mean = share @ scale
    std = np.sqrt((share * (scale - mean[:, None]) ** 2).sum(axis=1))
    return np.round(mean, 4).tolist(), np.round(np.maximum(std, 0.01), 4).tolist()
