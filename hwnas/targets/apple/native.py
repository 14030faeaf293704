"""Core ML itself, where this machine has it: on a Mac."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import MissingPackage, UserError
from hwnas.targets.apple import require
from hwnas.targets.apple.classifier import IMAGE, PROBABILITIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def native_probabilities(
    path: Path, images: NDArray[np.uint8], labels: Sequence[str]
) -> NDArray[np.float32]:
    """Return the probabilities that Core ML gives to RGB images (n, height, width, 3).

    Written to the documentation of coremltools' MLModel.predict. The tests run on Linux and
    replace Core ML there: it has not been seen to run with the real one.

    Args:
        path: a .mlmodel file or a .mlpackage folder, as written by this package.
        images: of the model's size.
        labels: of the classes, in the order of the result.

    Returns:
        (n, classes).

    Raises:
        UserError: this is no Mac.
        MissingPackage: coremltools or Pillow is not installed.
    """
    if platform.system() != "Darwin":  # sys.platform would hide the rest from mypy
        raise UserError(f"Core ML predicts on macOS only, but this is {platform.system()}")
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingPackage('images need Pillow: pip install "hwnas[data]"') from error
    model = require("models").MLModel(str(path))
    rows = [model.predict({IMAGE: Image.fromarray(pixels)})[PROBABILITIES] for pixels in images]
    return np.array([[row[label] for label in labels] for row in rows], np.float32)
