"""Recipes for full training, by name, and what may be changed in them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from hwnas.errors import UserError, one_of
from hwnas.options import Option
from hwnas.train.recipe import PAPER_CIFAR, Recipe, final_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

PAPER_IMAGENET = replace(
    PAPER_CIFAR,
    name="paper-imagenet",
    images=400 * 1_281_167,
    peak_lr=0.01,
    milestones=(0.5, 0.75),
)
"""Final training on ImageNet: 400 epochs, drops at 200 and 300 (Xiong et al., ICCV 2019)."""

MODERN_WARMUP_EPOCHS = 5
LONGEST_WARMUP = 0.2


def _stretched(recipe: Recipe, train_size: int, epochs: int, batch_size: int | None) -> Recipe:
    size = batch_size or recipe.batch_size
    return replace(recipe, images=epochs * train_size, batch_size=size)


def _modern(train_size: int, epochs: int, batch_size: int | None) -> Recipe:
    return replace(
        final_recipe(train_size, epochs, batch_size or 128),
        name="modern",
        warmup=min(LONGEST_WARMUP, MODERN_WARMUP_EPOCHS / epochs),
        label_smoothing=0.1,
        mixup=0.2,
        cutmix=1.0,
        erasing=0.1,
        decay_norms=False,
    )


@dataclass(frozen=True, slots=True)
class Preset:
    """A recipe that follows from the size of the data.

    Attributes:
        make: takes images of an epoch, epochs, and a batch size or None for its own.
        epochs: its own number, or None: as usual for the data.
    """

    make: Callable[[int, int, int | None], Recipe]
    epochs: int | None = None


PRESETS = {
    "one-cycle": Preset(final_recipe),
    "cifar": Preset(partial(_stretched, PAPER_CIFAR), 200),
    "imagenet": Preset(partial(_stretched, PAPER_IMAGENET), 400),
    "modern": Preset(_modern, 300),
}
DEFAULT = "one-cycle"


def find_preset(name: str) -> Preset:
    """Return a preset by name.

    Raises:
        UserError: unknown; the message lists those that there are.
    """
    if name not in PRESETS:
        raise one_of("recipe", name, list(PRESETS))
    return PRESETS[name]


LIMITS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "epochs": ("at least 1", lambda value: value >= 1),
    "batch_size": ("at least 2", lambda value: value >= 2),
    "lr": ("above 0", lambda value: 0 < value < math.inf),
    **dict.fromkeys(
        ("weight_decay", "warmup_epochs", "mixup", "cutmix"),
        ("0 or more", lambda value: 0 <= value < math.inf),
    ),
    **dict.fromkeys(
        ("momentum", "ema", "label_smoothing"),
        ("from 0 to below 1", lambda value: 0 <= value < 1),
    ),
    "erasing": ("from 0 to 1", lambda value: 0 <= value <= 1),
}
"""What the numbers of `Changes` must be, nan never being it."""


def _of_recipe(what: str) -> Option:
    return Option(what, "Recipe", default="the recipe's")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a user wants otherwise than in a preset, as options of a command; None leaves it."""

    epochs: Annotated[
        int | None, Option("Passes over the training data.", default="the recipe's or data's")
    ] = None
    lr: Annotated[float | None, _of_recipe("Highest learning rate.")] = None
    batch_size: Annotated[
        int | None, _of_recipe("Images per step, those of all GPUs together.")
    ] = None
    weight_decay: Annotated[float | None, _of_recipe("Weight decay.")] = None
    momentum: Annotated[float | None, _of_recipe("Nesterov momentum.")] = None
    warmup_epochs: Annotated[
        float | None, _of_recipe("Epochs in which the learning rate rises.")
    ] = None
    ema: Annotated[
        float | None, _of_recipe("Decay per step of the averaged weights; 0 for none.")
    ] = None
    label_smoothing: Annotated[float | None, _of_recipe("Share given to all classes alike.")] = None
    mixup: Annotated[float | None, _of_recipe("Parameter of mixup's shares; 0 for none.")] = None
    cutmix: Annotated[float | None, _of_recipe("Parameter of CutMix's areas; 0 for none.")] = None
    erasing: Annotated[float | None, _of_recipe("Probability of random erasing.")] = None

    def __post_init__(self) -> None:
        for name, (wanted, holds) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                flag = "--" + name.replace("_", "-")
                raise UserError(f"{flag} must be {wanted}, but got {value:g}.")

    def apply(self, recipe: Recipe, epochs: int) -> Recipe:
        """Return a recipe of so many epochs with these changes.

        Raises:
            UserError: the warm-up is longer than the training.
        """
        names = ("weight_decay", "momentum", "label_smoothing", "mixup", "cutmix", "erasing")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        changes = {name: value for name, value in found.items() if value is not None}
        if self.lr is not None:
            changes["peak_lr"] = self.lr
        if self.ema is not None:
            changes["ema"] = self.ema or None
        if self.warmup_epochs is not None:
            if self.warmup_epochs > epochs:
                raise UserError(
                    f"--warmup-epochs {self.warmup_epochs:g} is longer than the training of "
                    f"{epochs} epochs."
                )
            changes["warmup"] = self.warmup_epochs / epochs
        return replace(recipe, **changes)


def full_recipe(preset: str, train_size: int, usual_epochs: int, changes: Changes) -> Recipe:
    """Return the recipe of a full training.

    Args:
        preset: a name of `PRESETS`.
        train_size: images of an epoch.
        usual_epochs: of the data, where neither preset nor changes say.
        changes: the user's own.

    Raises:
        UserError: unknown preset, or changes that do not go together.
    """
    found = find_preset(preset)
    epochs = changes.epochs or found.epochs or usual_epochs
    return changes.apply(found.make(train_size, epochs, changes.batch_size), epochs)
