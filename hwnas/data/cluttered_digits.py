"""Cluttered digits: real digits, warped and cluttered on the fly, so that no image comes twice.

In the spirit of cluttered translated MNIST (Mnih et al., "Recurrent Models of Visual Attention",
2014), from the 1,797 handwritten digits of 8x8 pixels that come with scikit-learn. The plain
digits are saturated by the smallest networks; these show what depth and width are worth.

Name and labels are known without torch, whose import takes longer than many a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.graph import ImageInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from hwnas.data.dataset import Batch, Split
    from hwnas.progress import Reporter

VERSION = 1
"""To be raised with any change of the images, so that old scores are not taken for new ones."""

EPOCH = 10_000


class ClutteredDigits:
    """Ten classes, RGB, any resolution; needs no download."""

    name = "cluttered-digits"
    images = ImageInput((0.2,) * 3, (0.3,) * 3, tuple(str(digit) for digit in range(10)))

    labels = images.labels

    def prepare(self, resolution: int, reporter: Reporter) -> None:
        """Do nothing: images are drawn when they are asked for."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Name and version: everything else is in the program."""
        return {"name": self.name, "version": VERSION}

    @property
    def train_size(self) -> int:
        """Images that are called an epoch: there is no end of them."""
        return EPOCH

    def train_batches(
        self,
        images: int,
        batch_size: int,
        resolution: int,
        seed: int,
        *,
        start: int = 0,
        device: torch.device | None = None,
        judged: bool = False,
    ) -> Iterator[Batch]:
        """Yield fresh images, drawn on the device; each batch has its own random stream.

        A GPU's random numbers are others than a CPU's, so its images are others too.
        """
        from hwnas.data import clutter
        from hwnas.data.dataset import CPU, normalise

        among, where = "unjudged" if judged else "train", device or CPU
        drawn = clutter.training(images, batch_size, resolution, seed, start, where, among)
        for pixels, labels in drawn:
            yield normalise(pixels, self.images), labels

    def held_out(
        self,
        split: Split,
        resolution: int,
        count: int | None,
        *,
        device: torch.device | None = None,
    ) -> Iterator[Batch]:
        """Yield `count` images, the same on every device; the originals take turns.

        None stands for as many as an epoch.
        """
        from hwnas.data import clutter
        from hwnas.data.dataset import CPU, normalise

        where, size = device or CPU, self.train_size if count is None else count
        for pixels, labels in clutter.held_out(split, resolution, size):
            yield normalise(pixels.to(where), self.images), labels.to(where)

    def real_images(self, count: int, resolution: int) -> NDArray[np.uint8]:
        """Return images of the final split."""
        from hwnas.data import clutter

        return clutter.real_images(count, resolution)
