"""What fewer bits cost: the accuracy on images that nobody trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import CheckFailed
from hwnas.targets.shared.format import normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from hwnas.data.dataset import Batch, Dataset
    from hwnas.graph import ImageInput
    from hwnas.progress import Advance, Reporter
    from hwnas.workflows.export.draft import Draft
    from hwnas.workflows.export.options import ExportOptions

BATCH = 100


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


def checked_accuracy(draft: Draft, options: ExportOptions, reporter: Reporter) -> Accuracy | None:
    """Return the accuracy of a file on held-out images, if there are some.

    Args:
        draft: the file.
        options: how many images, and how many percentage points it may lose.
        reporter: is shown progress.

    Raises:
        CheckFailed: it loses more.
    """
    count = options.images if draft.form.fast else min(options.images, draft.slow_images)
    if draft.data is None or count == 0:
        return None
    with reporter.task(f"accuracy of the {draft.precision} file", count) as step:
        found = measured_accuracy(draft, draft.data, count, step)
    if not found.drop_points <= options.max_drop:
        raise CheckFailed(
            f"{draft.what} loses {found.drop_points:.1f} points of top-1 ({found.float_top1:.1%} "
            f"in float32, {found.top1:.1%} in the file, {found.images} images of "
            f"{found.dataset}), more than --max-drop {options.max_drop:g}. Nothing was written: "
            "a --precision of more bits loses less, a larger --max-drop accepts it."
        )
    return found


def measured_accuracy(draft: Draft, data: Dataset, count: int, step: Advance) -> Accuracy:
    """Return the accuracy of a file beside that of its network, on images of the final split."""
    right, float_right, same, seen = 0, 0, 0, 0
    for batch in data.held_out("final", draft.pixels.shape[1], count):
        for pixels, labels in _as_pixels(batch, data.images):
            found = draft.form.execute(draft.artifact, pixels, draft.images).argmax(axis=1)
            expected = _classes(draft.network, normalised(pixels, draft.images))
            right += int((found == labels).sum())
            float_right += int((expected == labels).sum())
            same += int((found == expected).sum())
            seen += len(labels)
            step(len(labels))
    return Accuracy(right / seen, float_right / seen, same / seen, seen, data.name)


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
