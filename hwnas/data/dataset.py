"""What training and evaluation ask of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import ImageInput
    from hwnas.progress import Reporter

Split: TypeAlias = Literal["search", "judge", "final"]
"""Held-out images: "search" scores candidates and epochs, "judge" the finalists of a search;
nothing is chosen by "final", which is what is reported."""

Batch: TypeAlias = "tuple[Tensor, Tensor]"
"""Images (n, 3, r, r), float32, normalised, channels last; labels (n,), int64."""

CPU = torch.device("cpu")

HELD_OUT_PIXELS = 10_000 * 32**2


class Dataset(Protocol):
    """Labelled RGB images at any resolution."""

    @property
    def name(self) -> str:
        """Short name for people."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes; quick to tell."""

    def prepare(self, resolution: int, reporter: Reporter) -> None:
        """Do ahead of need, showing progress, what takes long and has to be done only once.

        Whatever else is asked of the data set does it too, but silently.

        Raises:
            UserError: the images cannot be used.
        """

    @property
    def images(self) -> ImageInput:
        """Class labels and normalisation."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What identifies the images, as JSON: equal fingerprints, equal batches."""

    @property
    def train_size(self) -> int:
        """Images of one epoch."""

    def train_batches(
        self,
        images: int,
        batch_size: int,
        resolution: int,
        seed: int,
        *,
        start: int = 0,
        device: torch.device = CPU,
        judged: bool = False,
    ) -> Iterator[Batch]:
        """Yield `images` augmented training images in all, the last batch may be smaller.

        The images of "judge" are among them, unless what they train is to be `judged`.

        A batch depends on `seed` and its own number alone, so `start`, the number of batches to
        leave out, costs nothing and continues the very same stream.
        """

    def held_out(
        self, split: Split, resolution: int, count: int | None, *, device: torch.device = CPU
    ) -> Iterator[Batch]:
        """Yield the first `count` images of a split, or all: with None, or if there are fewer.

        Of images without an end "all" are as many as are called an epoch.
        In as many batches as memory asks for: see `held_out_parts`. No original is in two splits,
        and none in a training, but for what `train_batches` says of "judge".
        """

    def real_images(self, count: int, resolution: int) -> NDArray[np.uint8]:
        """Return (n, r, r, 3) held-out images as a camera would give them, not normalised."""


def batch_sizes(images: int, batch_size: int, start: int) -> Iterator[tuple[int, int]]:
    """Yield (number, size) of every batch from number `start` on."""
    for number, first in enumerate(range(0, images, batch_size)):
        if number >= start:
            yield number, min(batch_size, images - first)


def held_out_parts(count: int, resolution: int) -> Iterator[tuple[int, int]]:
    """Yield (first, size) of the batches of held-out images: up to 120 MB of float32 each."""
    part = max(1, HELD_OUT_PIXELS // resolution**2)
    for first in range(0, count, part):
        yield first, min(part, count - first)


def normalise(pixels: Tensor, images: ImageInput) -> Tensor:
    """Return pixels (n, 3, r, r) in [0, 1] as a network takes them."""
    mean = torch.tensor(images.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(images.std, device=pixels.device).view(3, 1, 1)
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
