"""How far a search can be from the optimum, from what it saw.

If F is monotone and submodular, then for every S and every feasible O

    F(O) <= F(S) + sum of the gains F(S + v) - F(S) over the blocks v of O

(Nemhauser, Wolsey, Fisher 1978), and an older gain, seen for a smaller S, is larger still. The
best O is bounded by a linear programme: one type per position, all budgets together, costs that
add up as they do on the start network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.cost import Problem
    from hwnas.search.ledger import Ledger, Step
    from hwnas.spaces import Arch, Element


def bound_on_optimum(problem: Problem, ledger: Ledger) -> float | None:
    """Return an upper bound on the score of every network within the budgets.

    It holds for scores that are monotone and submodular and for costs that add up; with noise or
    without these properties it is an indication. None if no path saw its first round.
    """
    start = problem.start()
    elements = [
        e for e in problem.space.elements(start) if problem.feasible(problem.space.add(start, e))
    ]
    if not elements:
        return ledger.score(start)
    costs = _marginals(problem, start, elements)
    bounds = []
    for path in ledger.paths.values():
        gains: dict[Element, float] = {}
        looked_at = {0, len(path) // 2, len(path) - 1}
        for number, step in enumerate(path):
            _see(ledger, step, gains)
            if number in looked_at and gains.keys() >= set(elements):
                bounds.append(step.score + _largest_sum(problem, start, elements, gains, costs))
    return min(bounds) if bounds else None


def _see(ledger: Ledger, step: Step, gains: dict[Element, float]) -> None:
    """Take the gains that were seen for a network; older ones stay where they were not."""
    for network, elements in ledger.problem.space.additions(step.arch).items():
        value = ledger.score(network)
        if value is not None:
            gains.update(dict.fromkeys(elements, max(0.0, value - step.score)))
    if step.element is not None:
        gains[step.element] = 0.0


def _marginals(problem: Problem, start: Arch, elements: list[Element]) -> NDArray[np.float64]:
    """Return what each element adds to each budget, in shares: (budgets, elements)."""
    base = np.array(problem.uses(start))
    added = [np.array(problem.uses(problem.space.add(start, e))) - base for e in elements]
    return np.array(added).T


def _largest_sum(
    problem: Problem,
    start: Arch,
    elements: list[Element],
    gains: Mapping[Element, float],
    costs: NDArray[np.float64],
) -> float:
    from scipy.optimize import linprog

    positions = sorted({position for position, _ in elements})
    once = np.array([[float(p == position) for p, _ in elements] for position in positions])
    additive = [budget.cost.additive for budget in problem.budgets]
    room = 1 - np.array(problem.uses(start))
    limits = np.concatenate([np.ones(len(positions)), room[additive]])
    value = np.array([gains[element] for element in elements])
    solved = linprog(-value, A_ub=np.vstack([once, costs[additive]]), b_ub=limits, bounds=(0, 1))
    # The dual of an optimal solution bounds as well as the optimum; anything else: all gains.
    return float(-solved.fun) if solved.status == 0 else float(value.clip(0).sum())
