"""What fewer bits cost: the accuracy on images that nobody trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hwnas.errors import CheckFailed
from hwnas.targets.shared.format import normalised

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from hwnas.data.dataset import Batch, Dataset
    from hwnas.graph import ImageInput

BATCH = 100

Execute: TypeAlias = "Callable[[NDArray[np.uint8]], NDArray[Any]]"
"""Runs a file on RGB images (n, H, W, 3)."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 of the float network and of the file, on the same held-out images.

    Attributes:
        top1: of the file.
        float_top1: of the network in float32.
        agreement: share of images with the same class on top.
        images: how many.
        dataset: of which data set.
    """

    top1: float
    float_top1: float
    agreement: float
    images: int
    dataset: str

    @property
    def drop_points(self) -> float:
        """Percentage points that the file loses."""
        return 100 * (self.float_top1 - self.top1)

    def to_json(self) -> dict[str, Any]:
        """Return all values."""
        return {**asdict(self), "drop_points": self.drop_points}


def measure_accuracy(
    network: nn.Module,
    execute: Execute,
    dataset: Dataset,
    resolution: int,
    count: int,
    taken: ImageInput,
) -> Accuracy:
    """Return the accuracy of a file beside that of its network.

    Args:
        network: in float32, evaluation mode.
        execute: runs the file on RGB images (n, H, W, 3).
        dataset: whose final split is used.
        resolution: height and width.
        count: how many images at most.
        taken: how the network takes its images.
    """
    right, float_right, same, seen = 0, 0, 0, 0
    for batch in dataset.held_out("final", resolution, count):
        for pixels, labels in _as_pixels(batch, dataset.images):
            found = execute(pixels).argmax(axis=1)
            expected = _classes(network, normalised(pixels, taken))
            right += int((found == labels).sum())
            float_right += int((expected == labels).sum())
            same += int((found == expected).sum())
            seen += len(labels)
    return Accuracy(right / seen, float_right / seen, same / seen, seen, dataset.name)


def require_accuracy(accuracy: Accuracy, max_drop: float, what: str) -> None:
    """Check that a file does not lose more than `max_drop` percentage points.

    Raises:
        CheckFailed: it does.
    """
    if not accuracy.drop_points <= max_drop:
        raise CheckFailed(
            f"{what} loses {accuracy.drop_points:.1f} points of top-1 ({accuracy.float_top1:.1%} "
            f"in float32, {accuracy.top1:.1%} in the file, {accuracy.images} images of "
            f"{accuracy.dataset}), more than --max-drop {max_drop:g}. Nothing was written: "
            "a --precision of more bits loses less, a larger --max-drop accepts it."
        )


def _as_pixels(batch: Batch, images: ImageInput) -> list[tuple[NDArray[np.uint8], NDArray[Any]]]:
    """Return parts of a normalised batch as a camera would give them, with their labels."""
    values, labels = batch
    mean, std = np.array(images.mean), np.array(images.std)
    parts = []
    for first in range(0, len(labels), BATCH):
        part = values[first : first + BATCH].permute(0, 2, 3, 1).double().numpy()
        pixels = np.clip(np.rint((part * std + mean) * 255), 0, 255).astype(np.uint8)
        parts.append((pixels, labels[first : first + BATCH].numpy()))
    return parts


def _classes(network: nn.Module, values: NDArray[np.float32]) -> NDArray[np.int64]:
    import torch

    with torch.inference_mode():
        classes: NDArray[np.int64] = network(torch.from_numpy(values)).argmax(dim=1).numpy()
    return classes
