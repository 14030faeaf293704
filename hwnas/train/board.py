"""The course of a training for TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.errors import MissingPackage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.train.confusion import Confusion
    from hwnas.train.curve import Epoch


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


class Board:
    """A `Listener` that writes event files; steps that a kill undid are overwritten."""

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
