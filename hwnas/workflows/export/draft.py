"""A file before it is checked: what both ways to make one hand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from hwnas.data.dataset import Dataset
    from hwnas.graph import ImageInput
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.format import Format
    from hwnas.workflows.export.parity import Difference, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A file that nobody has got yet, and what it is checked by.

    Attributes:
        form: its format.
        precision: of its weights or arithmetic.
        artifact: the file.
        network: what it was made of, in float32 and evaluation mode.
        images: normalisation and labels of the network.
        pixels: RGB images (n, H, W, 3) that both are compared on.
        reference: what the file should compute of them.
        effect: what fewer bits should change; None where the reference is in float.
        data: whose held-out images the accuracy is measured on, or None.
        slow_images: so many of them at most where the format is not `fast`.
        float_accuracy: whether the accuracy of a file in float32 is measured, too.
        name: of the file, without precision and suffix.
        about: name of the JSON file beside it; None: that of the file, with the format.
        what: it is called in messages, "the onnx file".
        remedy: what a user can do if it computes something else.
        facts: further ones for the JSON file.
    """

    form: Format
    precision: str
    artifact: Artifact
    network: nn.Module
    images: ImageInput
    pixels: NDArray[np.uint8]
    reference: Reference
    effect: Difference | None = None
    data: Dataset | None
    slow_images: int
    float_accuracy: bool = False
    name: str
    about: str | None = None
    what: str
    remedy: str = "please report this with the architecture"
    facts: Mapping[str, Any]
