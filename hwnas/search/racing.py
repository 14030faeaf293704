"""Telling candidates apart that noise could have swapped, only where the choice matters.

Two blocks that fit together need no race: the one that is not taken now can be taken next. A race
is worth its evaluations where taking one block rules the other out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.cost import Problem
    from hwnas.spaces import Arch, Element

STANDARD_ERRORS = 2.0
"""Two values that are less apart than so many standard errors of their difference are close."""


class Contender(NamedTuple):
    """A network whose gain is fresh.

    Attributes:
        network: one block larger than the current one.
        element: that block.
        value: what greedy compares: gain per cost.
        stderr: its standard error.
        open: whether it may be scored once more.
    """

    network: Arch
    element: Element
    value: float
    stderr: float
    open: bool


def close_rival(
    problem: Problem, current: Arch, top: Contender, others: Sequence[Contender]
) -> Contender | None:
    """Return the rival that noise most likely put behind `top` and that `top` would rule out.

    None if there is no such rival, or if neither may be scored again.
    """
    close = [
        (gap, rival)
        for rival in others
        if (top.open or rival.open) and (gap := _gap(top, rival)) < STANDARD_ERRORS
    ]
    for _, rival in sorted(close):
        if _excludes(problem, current, top, rival):
            return rival
    return None


def _gap(top: Contender, rival: Contender) -> float:
    """Return the difference in standard errors."""
    noise = math.hypot(top.stderr, rival.stderr)
    return (top.value - rival.value) / noise if noise else math.inf


def _excludes(problem: Problem, current: Arch, first: Contender, second: Contender) -> bool:
    """Return whether the second block, at whatever free position is the same, fits no more."""
    space = problem.space
    with_first = space.add(current, first.element)
    alternatives = space.additions(current)[second.network]
    free = set(space.elements(with_first))
    both = [space.add(with_first, element) for element in alternatives if element in free]
    return not any(map(problem.feasible, both))
