"""What a deployed network expects of its images, and what its outputs are called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ImageInput:
    """Normalisation and class labels, carried into every exported file.

    A pixel v on the scale 0 to 1 enters the network as (v - mean) / std, per RGB channel.
    """

    mean: Triple
    std: Triple
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if min(self.std) <= 0:
            raise ValueError(f"std must be above zero, but got {self.std}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("class labels must be distinct")

    def properties(self) -> dict[str, str]:
        """Return all of it as texts by name, for a file's metadata."""
        return {
            "image.color": "RGB",
            "image.scale": "pixel / 255, then (value - mean) / std per channel",
            "image.mean": json.dumps(self.mean),
            "image.std": json.dumps(self.std),
            "labels": json.dumps(self.labels),
        }


def file_metadata(images: ImageInput | None, further: Mapping[str, str] | None) -> dict[str, str]:
    """Return what a model file says of itself: its images, if they are known, and further texts."""
    return {**(images.properties() if images else {}), **(further or {})}


IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


def unnamed(classes: int) -> ImageInput:
    """Return the usual ImageNet normalisation and labels "class 0" and so on."""
    labels = tuple(f"class {index}" for index in range(classes))
    return ImageInput(IMAGENET_MEAN, IMAGENET_STD, labels)
