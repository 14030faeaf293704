"""Hugging Face image Parquet files as training and held-out batches."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from hwnas.data.dataset import CPU, Batch, Split, batch_sizes, held_out_parts, normalise
from hwnas.data.decode import Decoded, decoded
from hwnas.data.parquet_files import sources
from hwnas.data.splits import Splits, split_rows
from hwnas.graph import ImageInput
from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

VERSION = 2
"""To be raised with any change of batches or splits, so that old scores are not reused."""

RESIDENT_BYTES = 8 * 10**9
"""Training images up to this size stay in a GPU's memory."""

PAD_SHARE = 8
"""Random crops after padding by resolution / 8: four pixels at 32."""


class ParquetImages:
    """Labelled RGB images in Parquet files, split into train and test if named so."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Find the files; nothing is decoded before images are asked for.

        Raises:
            UserError: no such file or folder, or no Parquet file in it.
        """
        self._train_files, self._test_files = sources(path)
        self.name = name or f"parquet:{path}"
        self._reduced: dict[int, NDArray[np.uint8]] = {}
        self._resident: dict[tuple[int, torch.device], Tensor] = {}

    @cached_property
    def images(self) -> ImageInput:
        """Labels, and mean and standard deviation of the training files."""
        return ImageInput(self._train.mean, self._train.std, self._train.labels)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Hash of the decoded content."""
        files = [self._train.digest, *([self._test.digest] if self._test is not None else [])]
        return {"name": "parquet", "version": VERSION, "content": files}

    @property
    def train_size(self) -> int:
        """Images of one epoch."""
        return len(self._splits.train)

    def train_batches(
        self,
        images: int,
        batch_size: int,
        resolution: int,
        seed: int,
        *,
        start: int = 0,
        device: torch.device = CPU,
    ) -> Iterator[Batch]:
        """Yield random crops and flips; every epoch is a new order of all images."""
        blank = np.round(255 * np.array(self.images.mean)).astype(np.uint8)
        colour = torch.from_numpy(blank).to(device)
        for number, size in batch_sizes(images, batch_size, start):
            rows = self._splits.train[
                _endless_epochs(self.train_size, seed, number * batch_size, size)
            ]
            rng = np.random.default_rng(derive(seed, "crop", number))
            pixels = self._train_pixels(rows, resolution, device)
            yield self._batch(_crop_and_flip(pixels, colour, rng), self._train.classes[rows])

    def held_out(
        self, split: Split, resolution: int, count: int, *, device: torch.device = CPU
    ) -> Iterator[Batch]:
        """Yield up to `count` images, classes in turn as far as they go."""
        source, rows = self._held_out(split)
        for first, size in held_out_parts(min(count, len(rows)), resolution):
            chosen = rows[first : first + size]
            pixels = torch.from_numpy(_resize(source.pixels[chosen], resolution)).to(device)
            yield self._batch(pixels, source.classes[chosen])

    def real_images(self, count: int, resolution: int) -> NDArray[np.uint8]:
        """Return images of the final split."""
        source, rows = self._held_out("final")
        return _resize(source.pixels[rows[:count]], resolution)

    def _batch(self, pixels: Tensor, classes: NDArray[np.int64]) -> Batch:
        values = pixels.permute(0, 3, 1, 2).float() / 255
        return normalise(values, self.images), torch.from_numpy(classes).to(pixels.device)

    @cached_property
    def _train(self) -> Decoded:
        return decoded(self._train_files)

    @cached_property
    def _test(self) -> Decoded | None:
        return decoded(self._test_files, self._train.labels) if self._test_files else None

    @cached_property
    def _splits(self) -> Splits:
        source = str(self._train_files[0])
        return split_rows(self._train.classes, source, final=self._test is None)

    def _held_out(self, split: Split) -> tuple[Decoded, NDArray[np.int64]]:
        """Return the images that hold a split, and its rows there."""
        if split == "final" and self._test is not None:
            order = np.random.default_rng(0).permutation(len(self._test.classes))
            return self._test, order
        return self._train, self._splits.search if split == "search" else self._splits.final

    def _train_pixels(
        self, rows: NDArray[np.int64], resolution: int, device: torch.device
    ) -> Tensor:
        """Return images (n, r, r, 3) uint8 on the device, a GPU's from its own memory if it can."""
        if device.type == "cpu" or self._bytes(resolution) > RESIDENT_BYTES:
            return torch.from_numpy(self._host_pixels(rows, resolution)).to(device)
        if (resolution, device) not in self._resident:
            everything = self._host_pixels(np.arange(len(self._train.classes)), resolution)
            self._resident[resolution, device] = torch.from_numpy(everything).to(device)
        return self._resident[resolution, device][torch.from_numpy(rows).to(device)]

    def _bytes(self, resolution: int) -> int:
        return 3 * resolution**2 * len(self._train.classes)

    def _host_pixels(self, rows: NDArray[np.int64], resolution: int) -> NDArray[np.uint8]:
        """Return images at a resolution; smaller ones, cheap to keep, are made only once."""
        original = self._train.pixels
        if resolution >= original.shape[1]:
            return _resize(original[rows], resolution)
        if resolution not in self._reduced:
            self._reduced[resolution] = _resize(original, resolution)
        return self._reduced[resolution][rows]


@lru_cache(maxsize=4)
def _epoch(size: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng(derive(seed, "epoch", number)).permutation(size)


def _endless_epochs(size: int, seed: int, first: int, count: int) -> NDArray[np.int64]:
    """Return `count` items, from number `first` on, of epoch after epoch of range(size)."""
    parts, end = [], first + count
    while first < end:
        number, start = divmod(first, size)
        parts.append(_epoch(size, seed, number)[start : start + end - first])
        first += len(parts[-1])
    return np.concatenate(parts)


def _resize(pixels: NDArray[np.uint8], resolution: int, batch: int = 500) -> NDArray[np.uint8]:
    """Return (n, r, r, 3), bilinear with antialiasing."""
    if pixels.shape[1] == resolution:
        return np.ascontiguousarray(pixels)
    result = np.empty((len(pixels), resolution, resolution, 3), np.uint8)
    for start in range(0, len(pixels), batch):
        # torch is seven times faster on bytes with the channels last than on floats.
        part = torch.from_numpy(np.array(pixels[start : start + batch])).permute(0, 3, 1, 2)
        resized = functional.interpolate(
            part, size=(resolution, resolution), mode="bilinear", antialias=True
        )
        result[start : start + batch] = resized.permute(0, 2, 3, 1).numpy()
    return result


def _crop_and_flip(pixels: Tensor, blank: Tensor, rng: np.random.Generator) -> Tensor:
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
