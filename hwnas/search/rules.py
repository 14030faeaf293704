"""Greedy rules: what a gain is divided by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import UserError, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.cost import Budget, Problem

RATIO_RULES = {
    "apr": "params",
    "amr": "madds",
    "alr": "latency",
    "aer": "energy",
    "asr": "size",
}
"""Rule name to the cost whose marginal it divides by (accuracy per params, MAdds, ...).

The rule of a cost of another name, a user's own column, is named as the cost.
"""

OTHER_RULES = ("uc", "sum")
"""Uniform cost, and all budgets together."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Gain per weighted sum of budget shares; no weight at all is uniform cost.

    Attributes:
        name: as in `--rules`.
        weights: one per budget of the problem, or empty for uniform cost.
    """

    name: str
    weights: tuple[float, ...] = ()

    def marginal(self, before: Sequence[float], after: Sequence[float]) -> float:
        """Return the marginal cost of a block, in shares of budgets (1 for uniform cost)."""
        if not self.weights:
            return 1.0
        shares = zip(self.weights, before, after, strict=True)
        return sum(weight * (new - old) for weight, old, new in shares)


def default_rules(problem: Problem) -> list[Rule]:
    """Return uniform cost and one ratio rule per budgeted resource that blocks add to."""
    ratio = [_ratio_rule(problem, index) for index, _ in enumerate(problem.budgets)]
    return [Rule("uc"), *(rule for rule in ratio if rule is not None)]


def make_rules(problem: Problem, names: Sequence[str]) -> list[Rule]:
    """Return rules by name: "uc", "sum", or a ratio rule whose resource has a budget.

    Raises:
        UserError: unknown rule, or a ratio rule without its budget.
    """
    available = {rule.name: rule for rule in default_rules(problem)}
    available["sum"] = Rule("sum", (1.0,) * len(problem.budgets))
    for name in names:
        base = name.partition("@")[0]
        if name not in available and base in RATIO_RULES:
            cost = RATIO_RULES[base]
            raise UserError(
                f"rule {name!r} needs a budget: add --budget-{cost}, or for a table "
                f"--budget {cost}=VALUE."
            )
        if name not in available:
            raise one_of("rule", name, list(dict.fromkeys([*available, *RATIO_RULES])))
    return [available[name] for name in dict.fromkeys(names)]


def _ratio_rule(problem: Problem, index: int) -> Rule | None:
    budget: Budget = problem.budgets[index]
    if not budget.cost.additive:
        return None
    resource, _, device = budget.cost.name.partition("@")
    name = next((rule for rule, cost in RATIO_RULES.items() if cost == resource), resource)
    weights = tuple(float(i == index) for i in range(len(problem.budgets)))
    return Rule(f"{name}@{device}" if device else name, weights)
