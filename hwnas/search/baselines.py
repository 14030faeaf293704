"""Strategies to compare with: random, regularised evolution, local search, exhaustive."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import UserError
from hwnas.search.random_networks import LARGEST_WHOLE, draw, draw_new, limited
from hwnas.spaces import neighbours

if TYPE_CHECKING:
    from collections.abc import Generator

    from hwnas.cost import Problem
    from hwnas.search.ledger import Ask, Ledger
    from hwnas.search.strategy import Asking, Options
    from hwnas.spaces import Arch

TOGETHER = 16
"""Networks that are asked for at once where order does not matter."""

POPULATION, TOURNAMENT = 20, 5
"""Of evolution; a fifth of the searches' usual number of evaluations starts it."""


@limited("random")
def random(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    """Score networks at random until the limit, the start network first."""
    rng = np.random.default_rng(options.seed)
    yield from _start(problem, ledger, "random")
    while True:
        batch: dict[Arch, None] = {}
        for _ in range(TOGETHER):
            arch = draw_new(problem, rng, lambda arch: ledger.knows(arch) or arch in batch)  # noqa: B023
            if arch is not None:
                batch[arch] = None
        if not batch:
            return
        yield from ledger.ask(list(batch))


@limited("evolution")
def evolution(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    """Regularised evolution (Real et al., AAAI 2019): the best of a few mutates."""
    rng = np.random.default_rng(options.seed)
    yield from _start(problem, ledger, "evolution")
    first = [draw(problem, rng) for _ in range(POPULATION - 1)]
    yield from ledger.ask(first)
    founders = [problem.start(), *first]
    population = deque((a for a in founders if ledger.score(a) is not None), POPULATION)
    while population:
        size = min(TOURNAMENT, len(population))
        chosen = [population[int(i)] for i in rng.choice(len(population), size, replace=False)]
        parent = max(chosen, key=lambda arch: ledger.score(arch) or 0.0)
        child = _mutant(problem, ledger, parent, rng)
        if child is None:
            return
        yield from ledger.ask([child])
        if ledger.score(child) is not None:
            population.append(child)


def _mutant(
    problem: Problem, ledger: Ledger, parent: Arch, rng: np.random.Generator
) -> Arch | None:
    """Return a new network within the budgets, one change away or, where all are known, random."""
    near = neighbours(problem.space, parent)
    for index in map(int, rng.permutation(len(near))):
        if not ledger.knows(near[index]) and problem.feasible(near[index]):
            return near[index]
    return draw_new(problem, rng, ledger.knows)


@limited("local")
def local(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    """Take the first change of one position that is better; at an optimum begin elsewhere."""
    rng = np.random.default_rng(options.seed)
    yield from _start(problem, ledger, "local")
    current: Arch | None = problem.start()
    while current is not None:
        better = yield from _first_better(problem, ledger, current, rng)
        current = better or draw_new(problem, rng, ledger.knows)
        if better is None and current is not None:
            yield from ledger.ask([current])


def _first_better(
    problem: Problem, ledger: Ledger, current: Arch, rng: np.random.Generator
) -> Generator[Ask, None, Arch | None]:
    here = ledger.score(current)
    near = neighbours(problem.space, current)
    for index in map(int, rng.permutation(len(near))):
        if problem.feasible(near[index]):
            yield from ledger.ask([near[index]])
            score = ledger.score(near[index])
            if score is not None and (here is None or score > here):
                return near[index]
    return None


def exhaustive(problem: Problem, ledger: Ledger, options: Options) -> Asking:  # noqa: ARG001
    """Score every network within the budgets.

    Raises:
        UserError: the space is too large.
    """
    if problem.space.size > LARGEST_WHOLE:
        raise UserError(
            f"--strategy exhaustive: {problem.space.name} has {problem.space.size:.3g} networks. "
            "Take another strategy, such as rcas."
        )
    return _exhaustive(problem, ledger)


def _exhaustive(problem: Problem, ledger: Ledger) -> Asking:
    yield from _start(problem, ledger, "exhaustive")
    inside = filter(problem.feasible, problem.space.networks())
    while batch := list(itertools.islice(inside, TOGETHER)):
        yield from ledger.ask(batch)


def _start(problem: Problem, ledger: Ledger, name: str) -> Asking:
    """Score the start network, and let what beats it be the path."""
    ledger.follow(name)
    yield from ledger.ask([problem.start()])
