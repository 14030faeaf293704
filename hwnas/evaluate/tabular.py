"""Scores that are on record: a column of a tabular space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hwnas.evaluate.evaluation import Evaluation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.spaces import Arch
    from hwnas.spaces.tabular import TabularSpace


@dataclass(frozen=True)
class TabularEvaluator:
    """The numbers of a column, exact: every replicate is the same.

    Attributes:
        space: the table.
        column: any finite numbers, the larger the better.
    """

    space: TabularSpace
    column: str

    def identity(self) -> dict[str, Any]:
        """Return the file's content, how its networks are read, and the column."""
        space = self.space
        return {
            "evaluator": "tabular",
            "version": 1,
            "sha256": space.sha256,
            "ops": list(space.columns),
            "empty": space.labels[0],
            "column": self.column,
        }

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:  # noqa: ARG002
        """Return the number in the network's row."""
        return Evaluation.known(float(self._values[self.space.rows[arch]]))

    @cached_property
    def _values(self) -> NDArray[np.float64]:
        return self.space.numbers(self.column)
