"""Batches made harder after the data set's own augmentation: mixup, CutMix, random erasing.

All work on a whole batch on its device. What happens to a batch depends on the seed and the number
of the batch alone, so that a training can stop and go on anywhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from hwnas.data.dataset import Batch
    from hwnas.train.recipe import Recipe

ERASED_SHARE = (0.02, 1 / 3)
"""Of an image's area (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020)."""
ERASED_ASPECT = (0.3, 3.3)


def mixed(
    batches: Iterable[Batch], recipe: Recipe, classes: int, seed: int, start: int = 0
) -> Iterator[Batch]:
    """Yield each batch as the recipe asks for; where it asks for nothing, as it is.

    Args:
        batches: images and class numbers.
        recipe: says what to do; with both mixup and CutMix, each batch gets one of them, either
            equally often.
        classes: number of classes: labels of mixed images are probabilities (n, classes).
        seed: of all draws.
        start: number of the first batch.
    """
    mixes = [pair for pair in ((mixup, recipe.mixup), (cutmix, recipe.cutmix)) if pair[1] > 0]
    for number, (images, labels) in enumerate(batches, start):
        rng = np.random.default_rng(derive(seed, "mixing", number))
        if recipe.erasing > 0:
            images = erase(images, recipe.erasing, rng)
        if mixes:
            mix, alpha = mixes[int(rng.integers(len(mixes)))]
            yield mix(images, functional.one_hot(labels, classes).float(), alpha, rng)
        else:
            yield images, labels


def mixup(images: Tensor, labels: Tensor, alpha: float, rng: np.random.Generator) -> Batch:
    """Blend every image with another one of the batch (Zhang et al., "mixup", ICLR 2018).

    Args:
        images: (n, 3, r, r).
        labels: probabilities (n, classes).
        alpha: shares are drawn from Beta(alpha, alpha), one for the whole batch.
        rng: where the randomness comes from.
    """
    other = _partners(images, rng)
    share = float(rng.beta(alpha, alpha))
    return images.lerp(images[other], share), labels.lerp(labels[other], share)


def cutmix(images: Tensor, labels: Tensor, alpha: float, rng: np.random.Generator) -> Batch:
    """Put a rectangle of another image of the batch into every image (Yun et al., ICCV 2019).

    The rectangle is the same in all images; labels are mixed by its true area.

    Args:
        images: (n, 3, r, r).
        labels: probabilities (n, classes).
        alpha: areas are drawn from Beta(alpha, alpha), before what lies outside is cut off.
        rng: where the randomness comes from.
    """
    other = _partners(images, rng)
    height, width = images.shape[2:]
    side = math.sqrt(float(rng.beta(alpha, alpha)))
    top, bottom = _interval(height, side, rng)
    left, right = _interval(width, side, rng)
    result = images.clone()
    result[:, :, top:bottom, left:right] = images[other, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (height * width)
    return result, labels.lerp(labels[other], share)


def erase(images: Tensor, probability: float, rng: np.random.Generator) -> Tensor:
    """Return the images, some with a rectangle set to zero: the mean colour, once normalised.

    Args:
        images: (n, 3, r, r).
        probability: of an image to lose a rectangle.
        rng: where the randomness comes from.
    """
    count, _, height, width = images.shape
    chosen = rng.random(count) < probability
    area = rng.uniform(*ERASED_SHARE, count) * height * width
    narrow, wide = np.log(ERASED_ASPECT)
    aspect = np.exp(rng.uniform(narrow, wide, count))
    rows = _inside(height, np.where(chosen, np.sqrt(area * aspect), 0), rng)
    columns = _inside(width, np.where(chosen, np.sqrt(area / aspect), 0), rng)
    # Put together on the device: the mask of a large batch is large.
    across, down = (torch.from_numpy(part).to(images.device) for part in (columns, rows))
    return images.masked_fill(down[:, None, :, None] & across[:, None, None, :], 0)


def _partners(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the number of another image for each; some stay alone."""
    return torch.from_numpy(rng.permutation(len(images))).to(images.device)


def _interval(length: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """Return (first, end) of a stretch about any pixel, as far as it lies inside."""
    half, centre = int(length * share) // 2, int(rng.integers(length))
    return max(0, centre - half), min(length, centre + half)


def _inside(length: int, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which of `length` pixels lie in a stretch of each size at a random place."""
    whole = np.minimum(np.round(sizes).astype(np.int64), length)
    first = rng.integers(0, length - whole + 1)
    pixels = np.arange(length)
    return (pixels >= first[:, None]) & (pixels < (first + whole)[:, None])
