"""Hugging Face image Parquet files: decoded once, memory-mapped ever after."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from hwnas.data.dataset import CPU, Batch, Split, batch_sizes, normalise
from hwnas.data.decode import Decoded, decoded, sources
from hwnas.graph import ImageInput
from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Generator, Tensor

VERSION = 1
"""To be raised with any change of batches or splits, so that old scores are not reused."""

SEED = 0
SEARCH_PER_CLASS = 10
"""Held out of training for candidate scores (Xiong et al., ICCV 2019)."""
SEARCH_MINIMUM = 2_000
"""With few classes ten images each are too noisy a score: hold out at least so many ..."""
SEARCH_SHARE = 0.1
"""... but no more than this share, nor more of it for "final" where there is no test file."""
STATISTICS_IMAGES = 4_000
"""Images that mean and standard deviation are taken from: they are then exact to 0.001."""
PAD_SHARE = 8
"""Random crops after padding by resolution / 8: four pixels at 32."""


class ParquetImages:
    """Labelled RGB images of one size in Parquet files, split into train and test if named so."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Find the files; nothing is decoded before images are asked for.

        Raises:
            UserError: no such file or folder, or no Parquet file in it.
        """
        self._train_files, self._test_files = sources(path)
        self.name = name or f"parquet:{path}"
        self._resized: dict[tuple[str, int], NDArray[np.uint8]] = {}

    @cached_property
    def images(self) -> ImageInput:
        """Labels, and mean and standard deviation of the training images."""
        data = self._train
        chosen = data.pixels[:: max(1, len(data.pixels) // STATISTICS_IMAGES)]
        values = chosen.reshape(-1, 3) / 255.0
        mean, std = (
            tuple(round(float(v), 4) for v in f(values, axis=0)) for f in (np.mean, np.std)
        )
        return ImageInput((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), data.labels)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Hash of the decoded content."""
        files = [self._train.digest, *([self._test.digest] if self._test is not None else [])]
        return {"name": "parquet", "version": VERSION, "content": files}

    @property
    def train_size(self) -> int:
        """Images of one epoch."""
        return len(self._splits["train"])

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
        pixels, about = self._at(resolution, "train"), self.images
        labels, chosen = self._train.classes, self._splits["train"]
        order, epoch = chosen[:0], -1
        for number, size in batch_sizes(images, batch_size, start):
            first = number * batch_size
            rows = []
            for position in range(first, first + size):
                if position // len(chosen) != epoch:
                    epoch = position // len(chosen)
                    order = np.random.default_rng([derive(seed, "epoch", epoch)]).permutation(
                        chosen
                    )
                rows.append(order[position % len(chosen)])
            generator = torch.Generator().manual_seed(derive(seed, "crop", number))
            batch = torch.from_numpy(pixels[rows]).to(device).permute(0, 3, 1, 2).float() / 255
            cropped = _crop_and_flip(normalise(batch, about), generator)
            yield cropped, torch.from_numpy(labels[rows]).to(device)

    def held_out(self, split: Split, resolution: int, count: int) -> Batch:
        """Return up to `count` images, classes in turn as far as they go."""
        rows = self._held_out_rows(split)[:count]
        source = self._held_out_source(split)
        pixels = torch.from_numpy(self._at(resolution, source)[rows]).permute(0, 3, 1, 2) / 255
        data = self._train if source == "train" else self._test_or_train
        return normalise(pixels, self.images), torch.from_numpy(data.classes[rows])

    def real_images(self, count: int, resolution: int) -> NDArray[np.uint8]:
        """Return images of the final split."""
        rows = self._held_out_rows("final")[:count]
        return np.ascontiguousarray(self._at(resolution, self._held_out_source("final"))[rows])

    @cached_property
    def _train(self) -> Decoded:
        return decoded(self._train_files)

    @cached_property
    def _test(self) -> Decoded | None:
        return decoded(self._test_files) if self._test_files else None

    @property
    def _test_or_train(self) -> Decoded:
        return self._test or self._train

    def _held_out_source(self, split: Split) -> str:
        return "test" if split == "final" and self._test is not None else "train"

    def _held_out_rows(self, split: Split) -> NDArray[np.int64]:
        if self._held_out_source(split) == "test":
            order = np.random.default_rng(SEED).permutation(len(self._test_or_train.classes))
            return np.asarray(order, np.int64)
        return self._splits[split]

    @cached_property
    def _splits(self) -> dict[str, NDArray[np.int64]]:
        """Rows of the training files by purpose, held-out ones with the classes in turn."""
        classes, count = self._train.classes, len(self._train.labels)
        wanted = max(SEARCH_PER_CLASS * count, SEARCH_MINIMUM)
        per_class = max(1, min(wanted, int(SEARCH_SHARE * len(classes))) // count)
        turns = _in_turn(classes, np.random.default_rng(SEED).permutation(len(classes)))
        search, rest = turns[: per_class * count], turns[per_class * count :]
        if self._test is not None:
            return {"search": search, "train": np.sort(rest)}
        final, rest = rest[: per_class * count], rest[per_class * count :]
        return {"search": search, "final": final, "train": np.sort(rest)}

    def _at(self, resolution: int, source: str) -> NDArray[np.uint8]:
        """Return all images of a source at a resolution, (n, r, r, 3)."""
        data = self._train if source == "train" else self._test_or_train
        if data.pixels.shape[1] == resolution:
            return data.pixels
        key = source, resolution
        if key not in self._resized:
            self._resized[key] = _resize(data.pixels, resolution)
        return self._resized[key]


def _in_turn(classes: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of `order` so that classes take turns: first one of each, then a second."""
    labels = classes[order]
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], labels[by_class])
    turn = np.empty(len(order), np.int64)
    turn[by_class] = np.arange(len(order)) - starts
    return np.asarray(order[np.lexsort((labels, turn))], np.int64)


def _resize(pixels: NDArray[np.uint8], resolution: int, batch: int = 2_000) -> NDArray[np.uint8]:
    result = np.empty((len(pixels), resolution, resolution, 3), np.uint8)
    for start in range(0, len(pixels), batch):
        part = torch.from_numpy(np.array(pixels[start : start + batch])).permute(0, 3, 1, 2).float()
        small = functional.interpolate(
            part, size=(resolution, resolution), mode="bilinear", antialias=True
        )
        rounded = small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        result[start : start + batch] = rounded.numpy()
    return result


def _crop_and_flip(batch: Tensor, generator: Generator) -> Tensor:
    """Return each image shifted by up to resolution / 8 over zeros; half are flipped."""
    count, _, size, _ = batch.shape
    pad = size // PAD_SHARE
    padded = functional.pad(batch, (pad,) * 4)
    down, right = torch.randint(0, 2 * pad + 1, (2, count), generator=generator)
    flipped = torch.rand(count, generator=generator) < 0.5
    column = torch.arange(size)
    columns = torch.where(flipped[:, None], column.flip(0), column) + right[:, None]
    rows = column + down[:, None]
    index = torch.arange(count)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
