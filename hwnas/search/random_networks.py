"""Random networks within the budgets, for as long as there is a limit."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.spaces import neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from hwnas.cost import Problem
    from hwnas.search.ledger import Ledger
    from hwnas.search.strategy import Asking, Options, Strategy
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


def limited(name: str) -> Callable[[Strategy], Strategy]:
    """Let a strategy refuse, when it is called, to search a large space without a limit."""

    def decorate(strategy: Strategy) -> Strategy:
        @functools.wraps(strategy)
        def checked(problem: Problem, ledger: Ledger, options: Options) -> Asking:
            if ledger.limit is None and problem.space.size > LARGEST_WHOLE:
                raise UserError(
                    f"--strategy {name} does not end by itself: give --max-evaluations, "
                    "such as 100."
                )
            return strategy(problem, ledger, options)

        return checked

    return decorate
