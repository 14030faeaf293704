"""A training in steps and epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.train.recipe import Recipe


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
            f"recipe {recipe.name}: {self.epochs} epochs of {self.train_size:,} images, batches of "
            f"{recipe.batch_size}, learning rate up to {recipe.peak_lr:g}"
        )
