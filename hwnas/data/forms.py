"""What becomes of images by their size: small ones are kept as they are, large ones made smaller.

Small images, as CIFAR's, are few bytes at their own size; every resolution is made of that, and
training shifts and flips them. Large ones are stored a little larger than what is trained at, once
per resolution; training takes random crops of that, evaluation the centre.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

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

    from hwnas.data.decoding.decoded import Decoded
    from hwnas.graph import ImageInput
    from hwnas.graph.inputs import Triple

SMALL = 64
"""Images of up to so many pixels on the shorter side are kept at their own size."""

MULTIPLE = 4
"""Stored sides are multiples of this."""

LOW_SIDE = 128
"""Up to here twice the resolution is stored: it costs little, and small crops stay sharp."""

READERS = 8
"""Threads that read for a GPU, at most."""


class Form(Protocol):
    """How the images of a data set are stored, and made into batches."""

    head: ClassVar[dict[str, Any]]
    """Begins the fingerprint: name and version of what this form makes of images."""

    augmentation: ClassVar[str]
    """In words."""

    def stored_side(self, resolution: int) -> int | None:
        """Return the side that images are decoded to, or None for their own."""

    def digest(self, decoded: Decoded) -> str:
        """Return the hash that identifies the images."""

    def normalisation(self, decoded: Callable[[], Decoded]) -> tuple[Triple, Triple]:
        """Return mean and standard deviation per channel; `decoded` is called if needed."""

    def reader(
        self, pixels: NDArray[np.uint8], resolution: int
    ) -> tuple[Callable[[NDArray[np.int64]], NDArray[np.uint8]], int]:
        """Return what reads rows as `augmented` takes them, and the side of these."""

    def threads(self, device: torch.device) -> int:
        """Return how many threads read ahead."""

    def augmented(
        self, pixels: Tensor, resolution: int, images: ImageInput, rng: np.random.Generator
    ) -> Tensor:
        """Return training images (n, 3, r, r), normalised."""

    def centred(self, pixels: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
        """Return images (n, r, r, 3) for evaluation."""


class OwnSize:
    """Small images."""

    # The name is that of the first kind of file with such images, and scores are kept by it.
    head: ClassVar[dict[str, Any]] = {"name": "parquet", "version": 2}
    augmentation: ClassVar[str] = "random shifts by up to 1/8 and flips"

    def stored_side(self, resolution: int) -> None:
        """Return None."""

    def digest(self, decoded: Decoded) -> str:
        """Return the hash over the pixels."""
        return decoded.pixels_digest

    def normalisation(self, decoded: Callable[[], Decoded]) -> tuple[Triple, Triple]:
        """Return statistics of the training images."""
        found = decoded()
        return found.mean, found.std

    def reader(
        self, pixels: NDArray[np.uint8], resolution: int
    ) -> tuple[Callable[[NDArray[np.int64]], NDArray[np.uint8]], int]:
        """Return what reads rows at the resolution; smaller ones, cheap to keep, are made once."""
        if resolution >= pixels.shape[1]:
            return lambda rows: resized(pixels[rows], resolution), resolution
        reduced = resized(pixels, resolution)
        return lambda rows: reduced[rows], resolution

    def threads(self, device: torch.device) -> int:  # noqa: ARG002
        """Return 0: all of it is in memory."""
        return 0

    def augmented(
        self,
        pixels: Tensor,
        resolution: int,  # noqa: ARG002 - that of `pixels`
        images: ImageInput,
        rng: np.random.Generator,
    ) -> Tensor:
        """Return shifted and flipped images, on a ground of the mean colour."""
        blank = torch.from_numpy(np.round(255 * np.array(images.mean)).astype(np.uint8))
        shifted = shifted_and_flipped(pixels, blank.to(pixels.device), rng)
        return normalise(shifted.permute(0, 3, 1, 2).float() / 255, images)

    def centred(self, pixels: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
        """Return all of every image."""
        return resized(pixels, resolution)


class Resized:
    """Large images."""

    head: ClassVar[dict[str, Any]] = {"name": "large images", "version": 1}
    augmentation: ClassVar[str] = "random crops of 25% to 100% of the area, resized, and flips"

    def __init__(self, typical_side: int) -> None:
        """Take images whose shorter side is mostly `typical_side` pixels."""
        self._typical_side = typical_side

    def stored_side(self, resolution: int) -> int:
        """Return 256 for 224, and so on in proportion; never more than the images have."""
        wanted = min(2 * resolution, max(resolution / CENTRE_SHARE, LOW_SIDE))
        return min(MULTIPLE * math.ceil(wanted / MULTIPLE), self._typical_side)

    def digest(self, decoded: Decoded) -> str:
        """Return the hash over the files: pixels are others at every resolution."""
        return decoded.files_digest

    def normalisation(self, decoded: Callable[[], Decoded]) -> tuple[Triple, Triple]:  # noqa: ARG002
        """Return the usual values, those of ImageNet: known without decoding anything."""
        return IMAGENET_MEAN, IMAGENET_STD

    def reader(
        self,
        pixels: NDArray[np.uint8],
        resolution: int,  # noqa: ARG002 - crops are resized on the device
    ) -> tuple[Callable[[NDArray[np.int64]], NDArray[np.uint8]], int]:
        """Return what reads rows as they are stored."""
        return lambda rows: pixels[rows], pixels.shape[1]

    def threads(self, device: torch.device) -> int:
        """Return 1 on a CPU, whose cores have enough to do, else several."""
        return 1 if device.type == "cpu" else min(READERS, usable_cores())

    def augmented(
        self, pixels: Tensor, resolution: int, images: ImageInput, rng: np.random.Generator
    ) -> Tensor:
        """Return random crops, flipped or not."""
        return random_crops(pixels, resolution, images, rng)

    def centred(self, pixels: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
        """Return the centre of every image."""
        return centres(pixels, resolution)
