"""A training in steps and epochs, how fast it goes, and how long it will take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.train.recipe import Recipe

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Plan:
    """What is done when.

    Attributes:
        recipe: how many images, in which batches.
        train_size: images of an epoch.
        least: a last batch of fewer images is left out.
    """

    recipe: Recipe
    train_size: int
    least: int = 2

    @property
    def steps(self) -> int:
        """Number of batches."""
        last, steps = self.recipe.images % self.recipe.batch_size, self.recipe.steps
        return steps - 1 if 0 < last < self.least and steps > 1 else steps

    @property
    def epochs(self) -> int:
        """Passes over the images, the last one of which may be a part."""
        return math.ceil(self.recipe.images / self.train_size)

    @cached_property
    def ends(self) -> dict[int, int]:
        """Epochs by the step that ends them; of several that one step ends, the last counts.

        Batches run on over the ends of epochs: an epoch ends with the batch of its last image.
        """
        size = self.recipe.batch_size
        ends = {
            min(self.steps, math.ceil(epoch * self.train_size / size)): epoch
            for epoch in range(1, self.epochs)
        }
        return {**ends, self.steps: self.epochs}

    def images_at(self, step: int) -> int:
        """Return how many images have been trained on after so many steps."""
        return min(step * self.recipe.batch_size, self.recipe.images)

    def place(self, step: int) -> str:
        """Return where a training is after so many steps, for people."""
        epoch = next((self.ends[end] for end in sorted(self.ends) if end > step), self.epochs)
        return f"epoch {epoch} of {self.epochs}, step {step:,} of {self.steps:,}"

    def __str__(self) -> str:
        recipe = self.recipe
        return (
            f"{self.epochs} epochs of {self.train_size:,} images, batches of {recipe.batch_size}, "
            f"learning rate up to {recipe.peak_lr:g} ({recipe.schedule})"
        )


class Pace:
    """Counts images against the clock, epoch by epoch; what happens between epochs is left out."""

    def __init__(self, steps: int) -> None:
        """Begin a training of so many steps."""
        self._began = self._since = time.perf_counter()
        self._remaining, self._done, self._images = steps, 0, 0

    def count(self, images: int) -> None:
        """Note that one step has been done."""
        self._images += images
        self._done += 1

    @property
    def images_per_s(self) -> float:
        """Speed since the epoch, or its part in this process, began."""
        return self._images / max(time.perf_counter() - self._since, 1e-9)

    def go_on(self) -> None:
        """Begin the next epoch."""
        self._images, self._since = 0, time.perf_counter()

    @property
    def seconds_left(self) -> float:
        """Estimate of what remains, validation and saving included."""
        elapsed = time.perf_counter() - self._began
        return elapsed / max(1, self._done) * (self._remaining - self._done)


def duration(seconds: float) -> str:
    """Return a time for people, in two units at most: "45 s", "12 min", "3 h 20 min"."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:.0f} h"
