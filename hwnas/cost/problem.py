"""The search problem: a space, budgets on exact whole-network costs, and where to start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import InfeasibleError

if TYPE_CHECKING:
    from hwnas.cost.budget import Budget
    from hwnas.cost.costs import Cost
    from hwnas.spaces import Arch, RcnetSpace


@dataclass(frozen=True)
class Problem:
    """Networks of `space` that keep within all `budgets`."""

    space: RcnetSpace
    budgets: tuple[Budget, ...]

    def feasible(self, arch: Arch) -> bool:
        """Return whether a whole network keeps within every budget."""
        return all(budget.allows(arch) for budget in self.budgets)

    def uses(self, arch: Arch) -> tuple[float, ...]:
        """Return the used share of each budget."""
        return tuple(budget.use(arch) for budget in self.budgets)

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
            cost, cheapest = budget.cost, self.cheapest(budget.cost) * (1 + budget.cost.margin)
            if cheapest > budget.limit:
                raise InfeasibleError(
                    f"no network of {self.space.name} meets {budget}: the cheapest one needs "
                    f"{cost.format(cheapest)}. Raise the {cost.name} budget above that, or take a "
                    "smaller space (--width, --input)."
                )

    def cheapest(self, cost: Cost) -> float:
        """Return the smallest value of `cost` over all networks of the space.

        A further block only adds to a cost, so one block per filled stage is enough, and given
        which stages are filled each of them chooses on its own.
        """
        values = []
        for skeleton in self.space.skeletons():
            alternatives = zip(*(self.space.parts(arch) for arch in skeleton), strict=True)
            cheapest = [min(cost.per_key[key] for key in keys) for keys in alternatives]
            values.append(cost.total(cheapest))
        return min(values)
