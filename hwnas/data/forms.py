"""What becomes of images by their size: small ones are kept as they are, large ones made smaller.

Small images, as CIFAR's, are few bytes at their own size; every resolution is made of that, and
training shifts and flips them. Large ones are stored a little larger than what is trained at, once
per resolution; training takes random crops of that, evaluation the centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from hwnas.cores import usable_cores
from hwnas.data.augment import CENTRE_SHARE, centres, random_crops, resized, shifted_and_flipped
from hwnas.data.dataset import normalise
from hwnas.graph.inputs import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.data.decoding.store import Decoded
    from hwnas.graph import ImageInput
    from hwnas.graph.inputs import Triple

Read: TypeAlias = "Callable[[NDArray[np.int64]], NDArray[np.uint8]]"
"""Returns rows (n, s, s, 3) of all images."""

SMALL = 64
"""Images of up to so many pixels on the shorter side are kept at their own size."""

MULTIPLE = 4
"""Stored sides are multiples of this."""

LOW_SIDE = 128
"""Up to here twice the resolution is stored: it costs little, and small crops stay sharp."""

READERS = 8
"""Threads that read for a GPU, at most."""

RESIDENT_BYTES = 8 * 10**9
"""Training images up to this size stay in a GPU's memory."""

PART = 4096
"""Images that are sent there at a time."""


@dataclass(frozen=True)
class Form:
    """How the images of a data set are stored, and made into batches.

    Attributes:
        typical_side: the most common of their shorter sides, in pixels.
    """

    typical_side: int

    @property
    def small(self) -> bool:
        """Whether they are kept at their own size."""
        return self.typical_side <= SMALL

    @property
    def head(self) -> dict[str, Any]:
        """Begins the fingerprint: name and version of what this form makes of images."""
        return {"name": "small images" if self.small else "large images", "version": 1}

    @property
    def augmentation(self) -> str:
        """In words."""
        crops = "random crops of 25% to 100% of the area, resized, and flips"
        return "random shifts by up to 1/8 and flips" if self.small else crops

    def stored_side(self, resolution: int) -> int:
        """Return the side that images are decoded to.

        Of large ones that is 256 for 224, and so on in proportion; never more than they have.
        """
        if self.small:
            return self.typical_side
        wanted = min(2 * resolution, max(resolution / CENTRE_SHARE, LOW_SIDE))
        return min(MULTIPLE * math.ceil(wanted / MULTIPLE), self.typical_side)

    def normalisation(self, decoded: Callable[[], Decoded]) -> tuple[Triple, Triple]:
        """Return mean and standard deviation per channel.

        Large images get the usual values, those of ImageNet: known without decoding anything.
        """
        return decoded().statistics() if self.small else (IMAGENET_MEAN, IMAGENET_STD)

    def reader(self, pixels: NDArray[np.uint8], resolution: int) -> tuple[Read, int]:
        """Return what reads rows as `augmented` takes them, and the side of these.

        Crops of large images are resized on the device. Smaller ones than are stored of small
        images are cheap to keep: they are made once.
        """
        if not self.small:
            return lambda rows: pixels[rows], pixels.shape[1]
        if resolution >= pixels.shape[1]:
            return lambda rows: resized(pixels[rows], resolution), resolution
        reduced = resized(pixels, resolution)
        return lambda rows: reduced[rows], resolution

    def threads(self, device: torch.device) -> int:
        """Return how many threads read ahead.

        None for small images, which are in memory; one on a CPU, whose cores have enough to do.
        """
        if self.small:
            return 0
        return 1 if device.type == "cpu" else min(READERS, usable_cores())

    def augmented(
        self, pixels: Tensor, resolution: int, images: ImageInput, rng: np.random.Generator
    ) -> Tensor:
        """Return training images (n, 3, r, r), normalised.

        Small ones are shifted on a ground of the mean colour, and flipped.
        """
        if not self.small:
            return random_crops(pixels, resolution, images, rng)
        blank = torch.from_numpy(np.round(255 * np.array(images.mean)).astype(np.uint8))
        shifted = shifted_and_flipped(pixels, blank.to(pixels.device), rng)
        return normalise(shifted.permute(0, 3, 1, 2).float() / 255, images)

    def centred(self, pixels: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
        """Return images for evaluation, (n, r, r, 3): all of small ones, the centre of others."""
        return (resized if self.small else centres)(pixels, resolution)


def fits(size: int, device: torch.device) -> bool:
    """Return whether so many bytes of images are kept on a device other than the CPU."""
    return device.type != "cpu" and size <= RESIDENT_BYTES


class TrainingPixels:
    """Training images of one size: on a disk, in memory, or all of them in a GPU's memory."""

    def __init__(self, read: Read, count: int, device: torch.device, *, resident: bool) -> None:
        """Take images; nothing is read yet.

        Args:
            read: of them.
            count: number of all images.
            device: where batches are wanted.
            resident: keep all of them there, see `fits`.
        """
        self._read = read
        self._count = count
        self._device = device
        self.resident = resident

    def fetch(self, rows: NDArray[np.int64]) -> Tensor:
        """Return what `place` makes a batch of; threads may do this ahead of need."""
        if self.resident:
            return torch.from_numpy(rows)
        pixels = torch.from_numpy(self._read(rows))
        return pixels if self._device.type == "cpu" else pixels.pin_memory()

    def place(self, fetched: Tensor) -> Tensor:
        """Return the images (n, s, s, 3) uint8 on the device."""
        if self.resident:
            return self._everything[fetched.to(self._device)]
        return fetched.to(self._device, non_blocking=True)

    @cached_property
    def _everything(self) -> Tensor:
        parts = [
            torch.from_numpy(self._read(rows)).to(self._device)
            for rows in np.split(np.arange(self._count), range(PART, self._count, PART))
        ]
        return torch.cat(parts)
