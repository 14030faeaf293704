"""The course of a training, epoch by epoch, and who is told of it."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from hwnas.train.confusion import Confusion


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a training.

    Attributes:
        epoch: its number, from 1.
        step: batches since the beginning.
        images: training images since the beginning.
        learning_rate: of the last step.
        train_loss: mean loss of the training images as augmented, mixed and smoothed.
        cross_entropy: nats per held-out image.
        accuracy: share of held-out images classified correctly.
        top5: share of those whose class is among the five likeliest; None with up to five classes.
        images_per_s: trained, validation and saving left out.
        seconds: since the beginning, interruptions left out.
    """

    epoch: int
    step: int
    images: int
    learning_rate: float
    train_loss: float
    cross_entropy: float
    accuracy: float
    top5: float | None
    images_per_s: float
    seconds: float

    def better_than(self, other: Epoch | None) -> bool:
        """Return whether this epoch's network classifies more images, or as many more surely."""
        if other is None:
            return True
        return (self.accuracy, -self.cross_entropy) > (other.accuracy, -other.cross_entropy)

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return what `to_json` was given."""
        return cls(**values)


def best_of(curve: Sequence[Epoch]) -> Epoch | None:
    """Return the best epoch, the first one of equals; None of none."""
    best = None
    for epoch in curve:
        if epoch.better_than(best):
            best = epoch
    return best


def curve_csv(curve: Sequence[Epoch]) -> str:
    """Return a line per epoch under a header; what is None is left empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(epoch.to_json() for epoch in curve)
    return stream.getvalue()


class Listener(Protocol):
    """Is told what happens in a training; only the first of several processes has any."""

    def on_start(self, step: int) -> None:
        """Hear at which step this part of the training begins."""

    def on_step(self, step: int, loss: float, learning_rate: float, images_per_s: float) -> None:
        """Hear of a step now and then."""

    def on_epoch(self, curve: Sequence[Epoch]) -> None:
        """Hear of all epochs so far, the last of which has just ended.

        An epoch that a kill undid is told again.
        """

    def on_end(self, confusion: Confusion) -> None:
        """Hear how the trained network confuses classes, when all is done."""
