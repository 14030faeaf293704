"""Random networks within the budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.spaces import neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from hwnas.cost import Problem
    from hwnas.search.ledger import Ledger
    from hwnas.spaces import Arch

LARGEST_WHOLE = 1_000_000
"""Networks of a space that may be scored to the last."""

TRIES = 64
"""Draws before a network that is over budget is cut down instead."""


def draw(problem: Problem, rng: np.random.Generator) -> Arch:
    """Return a random network within all budgets, canonical.

    Uniform over what the space's own sampling gives within the budgets, as long as that is not
    rare; else the last draw is changed, one position at a time, until it fits.
    """
    arch = problem.space.sample(rng)
    for _ in range(TRIES):
        if problem.feasible(arch):
            return arch
        arch = problem.space.sample(rng)
    return _cut_down(problem, arch, rng)


def _cut_down(problem: Problem, arch: Arch, rng: np.random.Generator) -> Arch:
    """Walk to a network that fits; the start network, where the walk ends in a dead end."""
    while not problem.feasible(arch):
        here = _excess(problem, arch)
        lighter = [a for a in neighbours(problem.space, arch) if _excess(problem, a) < here]
        if not lighter:
            return problem.space.canonical(problem.start())
        arch = lighter[int(rng.integers(len(lighter)))]
    return arch


def _excess(problem: Problem, arch: Arch) -> float:
    return sum(max(0.0, use - 1) for use in problem.uses(arch))


def draw_new(
    problem: Problem, rng: np.random.Generator, known: Callable[[Arch], bool]
) -> Arch | None:
    """Return a random network that is not known yet; None where none is found for long."""
    for _ in range(TRIES):
        arch = draw(problem, rng)
        if not known(arch):
            return arch
    return None


def require_limit(problem: Problem, ledger: Ledger, strategy: str) -> None:
    """Refuse a search that would not end.

    Raises:
        UserError: there is neither a limit nor an end of the space.
    """
    if ledger.limit is None and problem.space.size > LARGEST_WHOLE:
        raise UserError(
            f"--strategy {strategy} does not end by itself: give --max-evaluations, such as 100."
        )
