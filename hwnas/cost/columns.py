"""Costs of networks that are rows of a table: the numbers of a column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas import units
from hwnas.cost.cost import Cost
from hwnas.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.spaces import Arch
    from hwnas.spaces.tabular import TabularSpace


@dataclass(frozen=True, kw_only=True)
class ColumnCost(Cost):
    """A column of a tabular space.

    Attributes:
        space: the table.
        values: by row.
    """

    space: TabularSpace
    values: NDArray[np.float64] = field(repr=False, compare=False)

    def of(self, arch: Arch) -> float:
        """Return the number in the network's row."""
        return float(self.values[self.space.rows[arch]])

    def many(self, archs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the numbers of many networks."""
        rows = self.space.rows
        return self.values[[rows[tuple(arch)] for arch in archs.tolist()]]

    def cheapest(self) -> float:
        """Return the smallest number of the column."""
        return float(self.values.min())


def column_cost(space: TabularSpace, name: str, column: str) -> ColumnCost:
    """Return the cost that a column holds, in whatever unit it is written.

    Raises:
        UserError: no such column, a cell that is no number, or one below zero.
    """
    values = space.numbers(column)
    if values.min() < 0:
        raise UserError(
            f"{space.name}: column {column} holds {values.min():g}: a cost cannot be below zero."
        )
    return ColumnCost(
        name=name, dimension=units.plain(name), label=f"column {column}", space=space, values=values
    )
