"""A limit on one cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.cost.cost import Cost
    from hwnas.spaces import Arch


@dataclass(frozen=True)
class Budget:
    """`cost.upper(arch) <= limit` must hold; `limit` is in the cost's base unit, above zero."""

    cost: Cost
    limit: float

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"a budget must be above zero, but got {self.limit}")

    def allows(self, arch: Arch) -> bool:
        """Return whether a whole network keeps within the budget."""
        return self.cost.upper(arch) <= self.limit

    def use(self, arch: Arch) -> float:
        """Return the used share of the budget, bound over limit."""
        return self.cost.upper(arch) / self.limit

    def __str__(self) -> str:
        margin = f", {self.cost.margin:.1%} margin" if self.cost.margin else ""
        limit = self.cost.format(self.limit)
        return f"{self.cost.name} <= {limit} ({self.cost.label}{margin})"
