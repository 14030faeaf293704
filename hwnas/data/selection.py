"""Which images of a data set are used, and what for: the choices that a user has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import UserError


@dataclass(frozen=True, slots=True)
class Selection:
    """What is left out of training, beside what the data set itself holds out.

    Attributes:
        held_out_per_class: training images of each class that score candidates, and as many again
            for "final" where there are no test images; None for the usual number, see
            `hwnas.data.splits.split_rows`.
        skip_damaged: leave out images that cannot be decoded, instead of refusing the data set.
    """

    held_out_per_class: int | None = None
    skip_damaged: bool = False

    def __post_init__(self) -> None:
        if self.held_out_per_class is not None and self.held_out_per_class < 1:
            raise UserError(
                f"--held-out-per-class must be at least 1, but got {self.held_out_per_class}."
            )

    def to_json(self) -> dict[str, Any]:
        """Return what was asked for: nothing of the usual."""
        default = asdict(Selection())
        return {name: value for name, value in asdict(self).items() if value != default[name]}


USUAL = Selection()
"""What holds where nothing else was asked for."""
