"""The search problem: a space, limits on exact whole-network costs, and where to start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import InfeasibleError

if TYPE_CHECKING:
    from hwnas.cost.costs import Cost
    from hwnas.spaces import Arch, Space


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


@dataclass(frozen=True)
class Problem:
    """Networks of `space` that keep within all `budgets`."""

    space: Space
    budgets: tuple[Budget, ...]

    def feasible(self, arch: Arch) -> bool:
        """Return whether a whole network keeps within every budget."""
        return all(budget.allows(arch) for budget in self.budgets)

    def uses(self, arch: Arch) -> tuple[float, ...]:
        """Return the used share of each budget."""
        return tuple(budget.use(arch) for budget in self.budgets)

    def weigh(self, arch: Arch) -> tuple[tuple[float, ...], bool]:
        """Return `uses` and `feasible` of a network, every cost counted once.

        A share of 1.0 may stand for a bound one rounding above the limit, so it does not decide.
        """
        uppers = [budget.cost.upper(arch) for budget in self.budgets]
        pairs = list(zip(uppers, self.budgets, strict=True))
        fits = all(upper <= budget.limit for upper, budget in pairs)
        return tuple(upper / budget.limit for upper, budget in pairs), fits

    def start(self) -> Arch:
        """Return S0, or the feasible start network that is nearest to it.

        Raises:
            InfeasibleError: no network of the space keeps within the budgets.
        """
        if self.feasible(start := self.space.start()):
            return start
        self._require_each_budget()
        for candidate in self.space.starts():
            if self.feasible(candidate):
                return candidate
        names = " and ".join(str(budget) for budget in self.budgets)
        raise InfeasibleError(
            f"no network of {self.space.name} meets {names} together, though each can be met "
            "alone: raise one of them."
        )

    def _require_each_budget(self) -> None:
        for budget in self.budgets:
            cost, cheapest = budget.cost, budget.cost.cheapest() * (1 + budget.cost.margin)
            if cheapest > budget.limit:
                raise InfeasibleError(
                    f"no network of {self.space.name} meets {budget}: the cheapest one needs "
                    f"{cost.format(cheapest)}. Raise the {cost.name} budget above that, or "
                    "take a smaller space."
                )
