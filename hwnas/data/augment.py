"""Random changes to training images, made on the device where the images are.

The randomness comes from the host, so a batch has the same crops and flips on every device.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

PAD_SHARE = 8
"""Random crops after padding by resolution / 8: four pixels at 32."""

CROP_AREA = (0.25, 1.0)
"""Share of the stored square that a random crop covers: smaller ones are for larger networks."""

CROP_ASPECT = (3 / 4, 4 / 3)
"""Width over height of a random crop."""

CENTRE_SHARE = 7 / 8
"""Of the shorter side, what evaluation looks at: 224 of 256 pixels."""


def shifted_and_flipped(pixels: Tensor, blank: Tensor, rng: np.random.Generator) -> Tensor:
    """Return each image (n, r, r, 3) shifted by up to r / 8 over `blank` (3,); half are flipped."""
    count, size, device = len(pixels), pixels.shape[1], pixels.device
    pad = size // PAD_SHARE
    padded = blank.repeat(count, size + 2 * pad, size + 2 * pad, 1)
    padded[:, pad : pad + size, pad : pad + size] = pixels
    shifts, flips = rng.integers(0, 2 * pad + 1, (count, 2)), rng.integers(0, 2, count)
    steps = np.arange(size)
    down = shifts[:, :1] + steps
    right = shifts[:, 1:] + np.where(flips[:, None] == 1, steps[::-1], steps)
    rows, columns = (torch.from_numpy(index).to(device) for index in (down, right))
    image = torch.arange(count, device=device)
    return padded[image[:, None, None], rows[:, :, None], columns[:, None, :]]


def random_crops(pixels: Tensor, resolution: int, rng: np.random.Generator) -> Tensor:
    """Return a random part of each image, resized; half are flipped.

    Args:
        pixels: (n, s, s, 3) uint8.
        resolution: r of the result.
        rng: where the randomness comes from.

    Returns:
        (n, 3, r, r) float32 in [0, 1].
    """
    count, stored = len(pixels), pixels.shape[1]
    affine = torch.from_numpy(_crops(count, rng)).to(pixels.device)
    # What is stored at a multiple of the resolution is sampled that finely, then averaged.
    finer = max(1, stored // resolution)
    shape = [count, 3, finer * resolution, finer * resolution]
    grid = functional.affine_grid(affine, shape, align_corners=False)
    values = pixels.permute(0, 3, 1, 2).float().div_(255)
    crops = functional.grid_sample(values, grid, padding_mode="border", align_corners=False)
    return crops if finer == 1 else functional.avg_pool2d(crops, finer)


def _crops(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (n, 2, 3): where in the stored square [-1, 1] each crop is, flips included."""
    area = rng.uniform(*CROP_AREA, size=count)
    narrow, wide = map(math.log, CROP_ASPECT)
    aspect = np.exp(rng.uniform(narrow, wide, count))
    width = np.minimum(1, np.sqrt(area * aspect))
    height = np.minimum(1, np.sqrt(area / aspect))
    right, down = (rng.uniform(-1, 1, count) * (1 - size) for size in (width, height))
    flip = np.where(rng.integers(0, 2, count) == 1, -1, 1)
    affine = np.zeros((count, 2, 3), np.float32)
    affine[:, 0, 0], affine[:, 0, 2] = flip * width, right
    affine[:, 1, 1], affine[:, 1, 2] = height, down
    return affine


def centres(pixels: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
    """Return the central 7/8 of images (n, s, s, 3) as (n, r, r, 3)."""
    stored = pixels.shape[1]
    side = max(1, round(stored * CENTRE_SHARE))
    first = (stored - side) // 2
    return resized(pixels[:, first : first + side, first : first + side], resolution)


def resized(pixels: NDArray[np.uint8], resolution: int, batch: int = 500) -> NDArray[np.uint8]:
    """Return images (n, s, s, 3) as (n, r, r, 3), bilinear with antialiasing."""
    if pixels.shape[1] == resolution:
        return np.ascontiguousarray(pixels)
    result = np.empty((len(pixels), resolution, resolution, 3), np.uint8)
    for start in range(0, len(pixels), batch):
        # torch is seven times faster on bytes with the channels last than on floats.
        part = torch.from_numpy(np.array(pixels[start : start + batch])).permute(0, 3, 1, 2)
        small = functional.interpolate(
            part, size=(resolution, resolution), mode="bilinear", antialias=True
        )
        result[start : start + batch] = small.permute(0, 2, 3, 1).numpy()
    return result
