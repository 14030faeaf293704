"""Random changes to training images, made on the device where the images are.

The randomness comes from the host, so a batch has the same crops and flips on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import ImageInput

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


@dataclass(frozen=True, slots=True)
class Boxes:
    """Parts of square images, in whole pixels; each (n,)."""

    left: NDArray[np.int64]
    top: NDArray[np.int64]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    flipped: NDArray[np.bool_]

    @classmethod
    def draw(cls, count: int, side: int, rng: np.random.Generator) -> Self:
        """Return random boxes in images of `side` pixels, as torchvision's RandomResizedCrop."""
        area = rng.uniform(*CROP_AREA, size=count)
        narrow, wide = map(math.log, CROP_ASPECT)
        aspect = np.exp(rng.uniform(narrow, wide, size=count))
        width, height = (
            np.clip(np.rint(side * np.sqrt(share)), 1, side).astype(np.int64)
            for share in (area * aspect, area / aspect)
        )
        left, top = (rng.integers(0, side - size + 1) for size in (width, height))
        return cls(left, top, width, height, rng.integers(0, 2, count) == 1)

    def affine(self, side: int) -> Tensor:
        """Return where each box is in [-1, 1], flips included, (n, 2, 3) float32."""
        result = np.zeros((len(self.left), 2, 3), np.float32)
        result[:, 0, 0] = np.where(self.flipped, -1, 1) * self.width / side
        result[:, 0, 2] = (2 * self.left + self.width) / side - 1
        result[:, 1, 1] = self.height / side
        result[:, 1, 2] = (2 * self.top + self.height) / side - 1
        return torch.from_numpy(result)


def random_crops(
    pixels: Tensor, resolution: int, images: ImageInput, rng: np.random.Generator
) -> Tensor:
    """Return a random part of each image, resized and normalised; half are flipped.

    The parts are the same on every device; how they are resized differs by a rounding.

    Args:
        pixels: (n, s, s, 3) uint8.
        resolution: r of the result.
        images: normalisation.
        rng: where the randomness comes from.

    Returns:
        (n, 3, r, r) float32, channels last.
    """
    boxes = Boxes.draw(len(pixels), pixels.shape[1], rng)
    cropped = crops_in_turn if pixels.device.type == "cpu" else crops_together
    return cropped(pixels, boxes, resolution, images)


def crops_in_turn(pixels: Tensor, boxes: Boxes, resolution: int, images: ImageInput) -> Tensor:
    """Return the boxes image by image, which stay in a CPU's cache from bytes to floats."""
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (images.mean, images.std))
    result = torch.empty(len(pixels), resolution, resolution, 3).permute(0, 3, 1, 2)
    for image, crop, left, top, width, height, flipped in zip(
        pixels,
        result,
        boxes.left.tolist(),
        boxes.top.tolist(),
        boxes.width.tolist(),
        boxes.height.tolist(),
        boxes.flipped.tolist(),
        strict=True,
    ):
        part = image[top : top + height, left : left + width].permute(2, 0, 1)[None]
        size = (resolution, resolution)
        small = functional.interpolate(part, size=size, mode="bilinear", antialias=True)[0]
        crop.copy_((small.flip(2) if flipped else small).float().sub_(mean).div_(std))
    return result


def crops_together(pixels: Tensor, boxes: Boxes, resolution: int, images: ImageInput) -> Tensor:
    """Return the boxes of all images at once, as GPUs like it."""
    count, side, device = len(pixels), pixels.shape[1], pixels.device
    mean, std = (
        torch.tensor(values, device=device).view(3, 1, 1) for values in (images.mean, images.std)
    )
    # What is stored at a multiple of the resolution is sampled that finely, then averaged.
    finer = max(1, side // resolution)
    shape = [count, 3, finer * resolution, finer * resolution]
    grid = functional.affine_grid(boxes.affine(side).to(device), shape, align_corners=False)
    values = pixels.permute(0, 3, 1, 2).float().div_(255)
    crops = functional.grid_sample(values, grid, padding_mode="border", align_corners=False)
    small = crops if finer == 1 else functional.avg_pool2d(crops, finer)
    return small.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


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
