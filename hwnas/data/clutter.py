"""Drawing cluttered digits: warped digits in random colours, clutter and noise, on any device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from hwnas.data.dataset import batch_sizes, held_out_parts
from hwnas.data.sources.arrays import BRIGHTEST, SIZE, bundled_digits
from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from hwnas.data.dataset import Batch, Split

TRAIN_ORIGINALS = 1300
JUDGE_ORIGINALS = 248
CLUTTER_PIECES = 2
CLUTTER_SIZE = 3
CLUTTER_BRIGHTNESS = 0.9
NOISE = 0.08
SEED = 0


def training(
    images: int,
    batch_size: int,
    resolution: int,
    seed: int,
    start: int,
    device: torch.device,
    among: str = "train",
) -> Iterator[Batch]:
    """Yield fresh images in [0, 1] and labels, each batch from a random stream of its own.

    Args:
        images: in all.
        batch_size: in each batch but the last.
        resolution: height and width.
        seed: of the streams.
        start: the first batch.
        device: where they are drawn.
        among: the split whose digits they show, "train" or "unjudged".
    """
    source = originals(device)
    for number, size in batch_sizes(images, batch_size, start):
        generator = torch.Generator(device).manual_seed(derive(seed, "train", number))
        chosen = _pick(source.splits[among], size, generator)
        yield _draw(source, chosen, resolution, generator, among), source.labels[chosen]


def held_out(split: Split, resolution: int, count: int) -> Iterator[Batch]:
    """Yield images in [0, 1] and labels, all from one random stream; the originals take turns."""
    source = originals(torch.device("cpu"))
    of_split = source.splits[split]
    generator = torch.Generator().manual_seed(derive(SEED, split, resolution))
    for first, size in held_out_parts(count, resolution):
        chosen = of_split[torch.arange(first, first + size) % len(of_split)]
        yield _draw(source, chosen, resolution, generator, "train"), source.labels[chosen]


def real_images(count: int, resolution: int) -> NDArray[np.uint8]:
    """Return images (n, r, r, 3) of the final split."""
    pixels = torch.cat([pixels for pixels, _ in held_out("final", resolution, count)])
    values = (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return np.ascontiguousarray(values.numpy())


@dataclass(frozen=True, slots=True)
class Originals:
    """The real digits, on one device.

    Attributes:
        digits: (n, 1, 8, 8) in [0, 1].
        labels: (n,) int64.
        splits: indices of the digits of each split; "judge" is a part of "train", and "unjudged"
            the rest of it.
    """

    digits: Tensor
    labels: Tensor
    splits: dict[str, Tensor]


@cache
def originals(device: torch.device) -> Originals:
    """Return the digits that come with scikit-learn; a process reads them once per device."""
    digits, labels = bundled_digits()
    pixels = torch.tensor(digits[:, None] / BRIGHTEST, dtype=torch.float32)
    order = np.random.default_rng(SEED).permutation(len(labels))
    middle = (TRAIN_ORIGINALS + len(order)) // 2
    parts = np.split(order, [TRAIN_ORIGINALS, middle])
    splits = dict(zip(("train", "search", "final"), parts, strict=True))
    splits["unjudged"], splits["judge"] = np.split(splits["train"], [-JUDGE_ORIGINALS])
    return Originals(
        pixels.to(device),
        torch.tensor(labels, dtype=torch.int64).to(device),
        {name: torch.from_numpy(rows).to(device) for name, rows in splits.items()},
    )


def _pick(among: Tensor, count: int, generator: Generator) -> Tensor:
    """Return `count` random entries of a vector, repetitions allowed."""
    index = torch.randint(len(among), (count,), generator=generator, device=generator.device)
    return among[index]


def _draw(
    source: Originals, chosen: Tensor, resolution: int, generator: Generator, among: str
) -> Tensor:
    """Return (n, 3, r, r) in [0, 1]: warped digits in random colours, clutter and noise.

    The clutter is of digits of the split `among`.
    """
    digits = _warp(source.digits[chosen], resolution, generator, (0.6, 0.9), 0.4)
    clutter = torch.zeros_like(digits)
    for _ in range(CLUTTER_PIECES):
        piece = _piece(source, len(chosen), resolution, generator, among)
        clutter = torch.maximum(clutter, piece)
    image = digits * _tint(len(chosen), generator)
    clutter = CLUTTER_BRIGHTNESS * clutter * _tint(len(chosen), generator)
    image = torch.maximum(image, clutter)
    noise = torch.randn(image.shape, generator=generator, device=generator.device)
    return (image + NOISE * noise).clamp_(0, 1)


def _piece(
    source: Originals, count: int, resolution: int, generator: Generator, among: str
) -> Tensor:
    """Return warped pieces of training digits, (n, 1, r, r)."""
    device = generator.device
    chosen = _pick(source.splits[among], count, generator)
    high = SIZE - CLUTTER_SIZE
    corner = torch.randint(high, (count, 2), generator=generator, device=device)
    inside = torch.arange(SIZE, device=device) - corner[..., None]
    inside = (inside >= 0) & (inside < CLUTTER_SIZE)
    window = inside[:, None, 0, :, None] & inside[:, None, 1, None, :]
    return _warp(source.digits[chosen] * window, resolution, generator, (0.4, 0.9), math.pi)


def _warp(
    digits: Tensor,
    resolution: int,
    generator: Generator,
    scales: tuple[float, float],
    rotation: float,
) -> Tensor:
    """Return (n, 1, r, r): rotated, scaled, stretched, sheared and put anywhere in the image.

    Args:
        digits: (n, 1, 8, 8).
        resolution: r.
        generator: where the randomness comes from.
        scales: range of the digit's size as a share of the image's.
        rotation: largest angle in either direction, radians.
    """
    count, device = len(digits), generator.device
    draws = 2 * torch.rand(5, count, generator=generator, device=device) - 1
    angle, stretch, shear, right, down = draws
    low, high = scales
    scale = low + (high - low) * torch.rand(count, generator=generator, device=device)
    wide = scale * (1 + 0.25 * stretch)
    cos, sin = torch.cos(rotation * angle), torch.sin(rotation * angle)
    right, down = right * (1 - scale), down * (1 - scale)
    across = torch.stack([cos / wide, 0.3 * shear - sin / scale, -right * cos / wide], 1)
    along = torch.stack([sin / wide, cos / scale, -down * cos / scale], 1)
    shape = [count, 1, resolution, resolution]
    grid = functional.affine_grid(torch.stack([across, along], 1), shape, align_corners=False)
    return functional.grid_sample(digits, grid, align_corners=False)


def _tint(count: int, generator: Generator) -> Tensor:
    """Return a bright colour per image, (n, 3, 1, 1)."""
    return 0.5 + 0.5 * torch.rand(count, 3, 1, 1, generator=generator, device=generator.device)
