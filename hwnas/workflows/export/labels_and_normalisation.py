"""What a user's own module takes and returns: normalisation and labels, stated or of a data set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.graph import ImageInput, unnamed

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.data.dataset import Dataset
    from hwnas.graph.inputs import Triple
    from hwnas.workflows.export.options import ExportOptions


def image_input(classes: int, data: Dataset | None, stated: ExportOptions) -> ImageInput:
    """Return normalisation and labels of a module.

    Args:
        classes: number of its scores.
        data: whose classes it tells apart, if that is known.
        stated: its labels, mean and std count before the data set's; those before ImageNet's and
            "class 0".

    Raises:
        UserError: a text is no three numbers, or a file no list of as many labels.
    """
    known = data.images if data else unnamed(classes)
    return ImageInput(
        mean=known.mean if stated.mean is None else _triple(stated.mean, "--mean"),
        std=known.std if stated.std is None else _std(stated.std),
        labels=known.labels if stated.labels is None else _labels(stated.labels, classes),
    )


def _triple(text: str, option: str) -> Triple:
    try:
        red, green, blue = map(float, text.split(","))
    except ValueError:
        red = green = blue = math.nan
    if not all(map(math.isfinite, (red, green, blue))):
        raise UserError(
            f"{option} takes one number per channel on the scale 0 to 1, such as "
            f"0.485,0.456,0.406, but got {text!r}."
        )
    return red, green, blue


def _std(text: str) -> Triple:
    std = _triple(text, "--std")
    if not min(std) > 0:
        raise UserError(f"--std must be above zero, but got {text!r}.")
    return std


def _labels(path: Path, classes: int) -> tuple[str, ...]:
    try:
        labels = tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--labels {path} cannot be read ({error}): give a text file.") from None
    if len(labels) != classes:
        raise UserError(
            f"--labels {path} has {len(labels)} lines, but the module returns {classes} scores: "
            "give one class per line."
        )
    twice = next((label for index, label in enumerate(labels) if label in labels[:index]), None)
    if twice is not None:
        raise UserError(f"--labels {path} names {twice!r} twice: labels must be distinct.")
    return labels
