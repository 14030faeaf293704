"""The curve of a full training, epoch by epoch, and who is told of it: CSV files, TensorBoard."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

from hwnas.errors import MissingPackage
from hwnas.files import csv_text, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.train.full.result import Confusion


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


def best_of(curve: Sequence[Epoch]) -> Epoch:
    """Return the epoch that classifies most images, or as many most surely; the first of equals."""
    return max(curve, key=lambda epoch: (epoch.accuracy, -epoch.cross_entropy))


class Listener:
    """Is told what happens in a training; only the first of several processes has any.

    One that does not say what it does with something does nothing.
    """

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


@dataclass(frozen=True, slots=True)
class CourseFiles(Listener):
    """Keeps two CSV files up to date.

    Attributes:
        curve: a line per epoch.
        confusion: the whole matrix, once the training has ended.
    """

    curve: Path
    confusion: Path

    def on_epoch(self, curve: Sequence[Epoch]) -> None:
        """Write a line per epoch under a header; what is None is left empty.

        Raises:
            UserError: the file cannot be written.
        """
        names = [field.name for field in fields(Epoch)]
        write_text(self.curve, csv_text([names, *map(astuple, curve)]))

    def on_end(self, confusion: Confusion) -> None:
        """Write the matrix.

        Raises:
            UserError: the file cannot be written.
        """
        write_text(self.confusion, confusion.to_csv())


def require_tensorboard() -> None:
    """Look whether TensorBoard is there, before any work.

    Raises:
        MissingPackage: it is not.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise MissingPackage(
            'TensorBoard is not installed: pip install "hwnas[tensorboard]", or leave '
            "--tensorboard out (train.csv holds the curve in any case)."
        ) from None


class Board(Listener):
    """Writes TensorBoard's event files; steps that a kill undid are overwritten."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that `tensorboard --logdir` is given.

        Raises:
            MissingPackage: TensorBoard is not installed.
        """
        require_tensorboard()
        self._folder = folder

    def on_start(self, step: int) -> None:
        """Open the log, without what it holds of later steps."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=step + 1)

    def on_step(self, step: int, loss: float, learning_rate: float, images_per_s: float) -> None:
        """Log loss, learning rate and speed."""
        self._log(
            step,
            {"train/loss": loss, "train/lr": learning_rate, "train/images per s": images_per_s},
        )

    def on_epoch(self, curve: Sequence[Epoch]) -> None:
        """Log the held-out metrics."""
        epoch = curve[-1]
        values = {
            "epoch/train loss": epoch.train_loss,
            "epoch/held-out cross-entropy": epoch.cross_entropy,
            "epoch/held-out top-1": epoch.accuracy,
        }
        if epoch.top5 is not None:
            values["epoch/held-out top-5"] = epoch.top5
        self._log(epoch.step, values)
        self._writer.flush()

    def on_end(self, confusion: Confusion) -> None:  # noqa: ARG002 - a file of its own
        """Close the log."""
        self._writer.close()

    def _log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
