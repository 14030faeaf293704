"""Recipes of `hwnas search` by name, and which options are for which evaluator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwnas.data.cluttered import ClutteredDigits
from hwnas.data.splits import SEARCH_PER_CLASS
from hwnas.errors import UserError, one_of
from hwnas.search import defaults
from hwnas.train.recipe import PAPER_SEARCH, QUICK, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.data.dataset import Dataset
    from hwnas.data.selection import Selection

PAPER = "paper"
PAPER_EPOCHS = 10

TRAINING = ("distill", "train", "zero-cost")
"""Evaluators whose candidates, or finalists, are trained at the proxy geometry."""

ONLY_FOR = {
    "--teachers": ("distill",),
    "--recipe": ("train",),
    "--device": TRAINING,
    "--proxy-width": TRAINING,
    "--proxy-resolution": TRAINING,
}
"""Evaluators that an option means something to, where it is not all of them."""


def refuse_for_others(evaluator: str, given: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing to an evaluator.

    Raises:
        UserError: one was given.
    """
    for option, evaluators in ONLY_FOR.items():
        known = evaluator in defaults.EVALUATORS
        if given.get(option) is not None and known and evaluator not in evaluators:
            raise UserError(
                f"{option} is for --evaluator {' or '.join(evaluators)}, not for {evaluator}: "
                "leave it out."
            )


def require_recipe(name: str, evaluator: str, images: int | None) -> None:
    """Check the name of a recipe, and that what else was asked goes with it.

    Raises:
        UserError: it is unknown, or does not go with the evaluator or a number of images.
    """
    if name not in defaults.RECIPES:
        raise one_of("recipe", name, list(defaults.RECIPES))
    if name == PAPER:
        refuse_for_others(evaluator, {"--recipe": name})
        if images is not None:
            raise UserError(
                f"--recipe {PAPER} trains on {PAPER_EPOCHS} epochs of the data set, whatever its "
                "size: leave --images out."
            )


def held_out_per_class(recipe: str | None, dataset: str, asked: int | None) -> int | None:
    """Return how many images of each class are held out: the paper's number with its recipe.

    Data that is drawn on the fly holds out digits of its own.
    """
    if asked is None and recipe == PAPER and dataset != ClutteredDigits.name:
        return SEARCH_PER_CLASS
    return asked


def search_recipe(name: str, images: int | None, data: Dataset, selection: Selection) -> Recipe:
    """Return how a candidate is trained.

    Args:
        name: one of `defaults.RECIPES`.
        images: training images, or None for the recipe's own number.
        data: what is trained on.
        selection: what is held out of it.
    """
    if name == PAPER:
        held_out = (selection.held_out_per_class or 0) * len(data.labels)
        return replace(
            PAPER_SEARCH,
            images=PAPER_EPOCHS * data.train_size,
            # All that is held out of training.
            validation=max(PAPER_SEARCH.validation, held_out),
        )
    return replace(QUICK, images=images or QUICK.images)
