"""Core ML itself, where this machine has it: on a Mac.

Written to the documentation of coremltools' MLModel. The tests run on Linux and replace Core ML
there: it has not been seen to run with the real one.
"""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import HwnasError, MissingPackage, UserError
from hwnas.targets.apple import require
from hwnas.targets.apple.classifier import IMAGE, PROBABILITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.targets.shared.artifact import Artifact

NAME = "Core ML on this Mac, CPU only"


def probabilities(
    artifact: Artifact, suffix: str, images: NDArray[np.uint8], labels: Sequence[str]
) -> NDArray[np.float32]:
    """Return the probabilities that Core ML gives to RGB images (n, height, width, 3).

    On the CPU alone: the GPU and the Neural Engine compute in float16 whatever the file says.

    Args:
        artifact: a classifier as this package writes it.
        suffix: ".mlmodel" or ".mlpackage", by which Core ML tells them.
        images: of the model's size.
        labels: of the classes, in the order of the result.

    Returns:
        (n, classes).

    Raises:
        UserError: this is no Mac, or Core ML does not run the file.
        MissingPackage: coremltools or Pillow is not installed.
    """
    if platform.system() != "Darwin":  # sys.platform would hide the rest from mypy
        raise UserError(f"Core ML predicts on macOS only, but this is {platform.system()}.")
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingPackage('images need Pillow: pip install "hwnas[data]"') from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        artifact.write(path)
        try:
            model = _loaded(path)
            rows = [model.predict({IMAGE: Image.fromarray(each)})[PROBABILITIES] for each in images]
            return np.array([[row[label] for label in labels] for row in rows], np.float32)
        except HwnasError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise UserError(f"Core ML cannot run it: {reason}.") from error


def _loaded(path: Path) -> Any:
    require("models")  # says so when coremltools is missing, and keeps it quiet
    import coremltools as tools

    return tools.models.MLModel(str(path), compute_units=tools.ComputeUnit.CPU_ONLY)
