"""The course of a training as files that any program can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.files import write_text
from hwnas.train.curve import curve_csv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.train.confusion import Confusion
    from hwnas.train.curve import Epoch


@dataclass(frozen=True, slots=True)
class CourseFiles:
    """A `Listener` that keeps two CSV files up to date.

    Attributes:
        curve: a line per epoch.
        confusion: the whole matrix, once the training has ended.
    """

    curve: Path
    confusion: Path

    def on_start(self, step: int) -> None:
        """Do nothing: the curve is whole with every epoch."""

    def on_step(self, step: int, loss: float, learning_rate: float, images_per_s: float) -> None:
        """Do nothing."""

    def on_epoch(self, curve: Sequence[Epoch]) -> None:
        """Write all epochs.

        Raises:
            UserError: the file cannot be written.
        """
        write_text(self.curve, curve_csv(curve))

    def on_end(self, confusion: Confusion) -> None:
        """Write the matrix.

        Raises:
            UserError: the file cannot be written.
        """
        write_text(self.confusion, confusion.to_csv())
