"""How a network is trained, as plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Schedule: TypeAlias = Literal["one-cycle", "multi-step"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum.

    Attributes:
        name: for people.
        images: training images in all, repetitions counted.
        batch_size: images per step.
        peak_lr: highest learning rate.
        schedule: "one-cycle" rises linearly to the peak and falls to zero along half a cosine;
            "multi-step" divides by ten at each milestone.
        milestones: shares of the training, for "multi-step".
        warmup: share of the training that the learning rate rises, from a tenth of the peak.
        momentum: Nesterov.
        weight_decay: on every parameter.
        ema: decay per step of the averaged weights, which are then the result; None for none.
        label_smoothing: share of the target given to all classes alike.
        validation: held-out images that score the result; a full training is scored on all of
            "final" instead.
        mixup: both parameters of the beta distribution of mixup's shares; 0 for none.
        cutmix: the same for CutMix.
        erasing: probability that a rectangle of an image is erased.
        decay_norms: whether weight decay acts on batch norm and biases too.
    """

    name: str
    images: int
    batch_size: int
    peak_lr: float
    schedule: Schedule = "one-cycle"
    milestones: tuple[float, ...] = ()
    warmup: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 4e-5
    ema: float | None = None
    label_smoothing: float = 0.0
    validation: int = 10_000
    mixup: float = 0.0
    cutmix: float = 0.0
    erasing: float = 0.0
    decay_norms: bool = True

    def __post_init__(self) -> None:
        if min(self.images, self.batch_size, self.validation) < 1 or self.peak_lr <= 0:
            raise ValueError(f"images, batch_size, validation and peak_lr must be > 0: {self}")
        if not 0 <= self.warmup <= 1 or not 0 <= self.label_smoothing < 1:
            raise ValueError(f"warmup and label_smoothing are shares: {self}")
        if min(self.mixup, self.cutmix) < 0 or not 0 <= self.erasing <= 1:
            raise ValueError(f"mixup and cutmix must be >= 0, erasing is a probability: {self}")

    @property
    def steps(self) -> int:
        """Number of batches."""
        return math.ceil(self.images / self.batch_size)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        progress = step / self.steps
        if progress < self.warmup:
            return self.peak_lr * (0.1 + 0.9 * progress / self.warmup)
        if self.schedule == "multi-step":
            passed = sum(progress >= milestone for milestone in self.milestones)
            return float(self.peak_lr * 0.1**passed)
        falling = (progress - self.warmup) / (1 - self.warmup)
        return self.peak_lr * 0.5 * (1 + math.cos(math.pi * falling))


QUICK = Recipe("quick", images=6_000, batch_size=32, peak_lr=0.1, ema=0.98, validation=2_000)
"""Scores candidates on one CPU thread in a few seconds."""

TEACHER = Recipe("teacher", images=40_960, batch_size=64, peak_lr=0.2, ema=0.98, validation=4_000)
"""Trains what candidates imitate, once for all of them."""

UNIT = Recipe("unit", 2_048, batch_size=32, peak_lr=0.2, warmup=0.1, ema=0.95, validation=2_000)
"""Trains one unit to imitate the teacher's."""

STITCH = Recipe(
    "stitch", 2_048, batch_size=32, peak_lr=0.05, warmup=0.1, ema=0.95, validation=4_000
)
"""Trains a network whose units imitate a teacher's already."""

PAPER_SEARCH = Recipe(
    "paper-search",
    images=10 * 50_000,
    batch_size=128,
    peak_lr=0.1,
    schedule="multi-step",
    milestones=(0.4, 0.7, 0.9),
    warmup=0.0,
)
"""Ten epochs of CIFAR, as Xiong et al. (ICCV 2019) score candidates; for a GPU."""

PAPER_CIFAR = replace(
    PAPER_SEARCH, name="paper-cifar", images=200 * 50_000, milestones=(0.3, 0.6, 0.9)
)
"""Final training on CIFAR: 200 epochs, drops at 60, 120 and 180 (Xiong et al., ICCV 2019)."""

MANY_EPOCHS = 20
AVERAGED_SHARE = 0.01
"""The weight average reaches back over about this share of the training."""


def final_recipe(train_size: int, epochs: int, batch_size: int | None = None) -> Recipe:
    """Return the usual recipe for full training: one cycle, weights averaged.

    Args:
        train_size: images of an epoch.
        epochs: passes over them; few ones take small batches, for more steps.
        batch_size: images per step, where it is not to follow from the epochs.
    """
    images = epochs * train_size
    size = batch_size or (64 if epochs < MANY_EPOCHS else 128)
    ema = average_decay(images / size)
    return Recipe("final", images=images, batch_size=size, peak_lr=0.1, ema=ema)


def average_decay(steps: float) -> float:
    """Return the decay per step of averaged weights for a training of so many steps."""
    return min(0.9998, max(0.98, 1 - 1 / max(1.0, AVERAGED_SHARE * steps)))
