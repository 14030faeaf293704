"""What a full training came to: figures on held-out images, and which classes are confused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hwnas.files import csv_text
from hwnas.train.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class TrainResult(Metrics):
    """The metrics on all "final" images (teachers: on some of "search"), and how they came about.

    Attributes:
        images: images trained on.
        seconds: training time over all runs, interruptions left out.
        device: where the last part was trained.
        epochs: passes over the training images.
        best: the epoch whose network was best on other held-out images, as in the curve.
        confused: the classes most often taken for others, on the same images.
        device_name: of the GPU or the CPU.
        precision: "bf16" or "fp32".
        processes: that trained together in the last part.
        versions: of hwnas, torch, Python and CUDA in the last part.
    """

    images: int
    seconds: float
    device: str
    epochs: int
    best: dict[str, Any]
    confused: list[dict[str, Any]]
    device_name: str
    precision: str
    processes: int
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return all values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Confused:
    """Images of one class that were taken for another.

    Attributes:
        label: the class that they are of.
        taken_for: the class that the network says.
        images: how many.
        share: of all images of their class.
    """

    label: str
    taken_for: str
    images: int
    share: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of images by class and by what they were taken for.

    Attributes:
        labels: names of the classes.
        counts: (classes, classes), a row per class of the images, a column per answer.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, names: Sequence[str]) -> Confusion:
        """Count from logits (n, classes) and labels (n,)."""
        size = len(names)
        pairs = labels * size + logits.argmax(1)
        counts = torch.bincount(pairs, minlength=size**2).view(size, size)
        return cls(tuple(names), counts.cpu().numpy())

    def worst(self, most: int) -> list[Confused]:
        """Return the pairs with the largest share of a class, ties by number, then in order."""
        errors = self.counts.copy()
        np.fill_diagonal(errors, 0)
        shares = errors / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        order = np.lexsort((-errors.ravel(), -shares.ravel()))[:most]
        pairs = [divmod(int(index), len(self.labels)) for index in order]
        return [
            Confused(self.labels[i], self.labels[j], int(errors[i, j]), float(shares[i, j]))
            for i, j in pairs
            if errors[i, j]
        ]

    def to_csv(self) -> str:
        """Return the matrix with a header: a row per class, a column per answer."""
        rows = zip(self.labels, self.counts.tolist(), strict=True)
        return csv_text([["class", *self.labels], *([label, *row] for label, row in rows)])
