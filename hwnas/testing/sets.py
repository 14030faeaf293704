"""Set functions under a partition matroid and knapsacks: the search problem without networks.

Every position may hold one of a few types, every (position, type) has a cost in each resource, and
the score is a function of the set of filled positions. Coverage and facility location are
monotone and submodular: what greedy theory speaks about.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hwnas import units
from hwnas.cost import Budget, Cost, Problem
from hwnas.spaces.space import PlainSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hwnas.spaces import Arch, Element

SetFunction: TypeAlias = "Callable[[Arch], float]"


@dataclass(frozen=True)
class SetSpace(PlainSpace):
    """All fillings of `positions` with `types` types or nothing, each a network of its own."""

    positions: int
    types: int
    name: str = "sets"

    @property
    def choices(self) -> list[tuple[int, ...]]:
        """Types that each position may hold."""
        return [tuple(range(self.types + 1))] * self.positions

    @property
    def size(self) -> int:
        """How many fillings there are."""
        return int((self.types + 1) ** self.positions)

    def networks(self) -> Iterator[Arch]:
        """Yield every filling."""
        return itertools.product(range(self.types + 1), repeat=self.positions)

    def contains(self, arch: Arch) -> bool:
        """Return whether `arch` has the right length and types."""
        return len(arch) == self.positions and all(0 <= block <= self.types for block in arch)

    def starts(self) -> Iterator[Arch]:
        """Yield the empty set."""
        yield (0,) * self.positions

    def describe(self, element: Element) -> str:
        """Return an element in words."""
        return f"type {element[1]} at {element[0]}"

    def sample(self, rng: np.random.Generator) -> Arch:
        """Return a random filling."""
        drawn = rng.random(self.positions) * (self.types + 1)
        return tuple(map(int, drawn.tolist()))

    def parse(self, text: str) -> Arch:
        """Return the filling written as numbers with commas."""
        return tuple(map(int, text.split(",")))

    def format(self, arch: Arch) -> str:
        """Return the text that `parse` reads."""
        return ",".join(map(str, arch))


@dataclass(frozen=True, kw_only=True)
class ElementCost(Cost):
    """The sum of what each element costs.

    Attributes:
        space: the sets.
        values: by position and type, (positions, types + 1); 0 for the empty type.
    """

    space: SetSpace
    values: NDArray[np.float64] = field(repr=False, compare=False)

    def of(self, arch: Arch) -> float:
        """Return the cost of a set."""
        return sum(row[block] for row, block in zip(self._rows, arch, strict=True))

    @cached_property
    def _rows(self) -> list[list[float]]:
        """The values as Python's own numbers: single ones are looked up ten times as fast."""
        rows: list[list[float]] = self.values.tolist()
        return rows

    def many(self, archs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the costs of many sets."""
        found: NDArray[np.float64] = self.values[np.arange(archs.shape[1]), archs].sum(axis=1)
        return found

    def cheapest(self) -> float:
        """Return the cost of the empty set."""
        return 0.0


def coverage(space: SetSpace, rng: np.random.Generator, points: int = 60) -> SetFunction:
    """Return a random weighted coverage function: the weight of the points that a set covers."""
    weights = _exact(rng.exponential(size=points))
    covers = rng.uniform(size=(space.positions, space.types + 1, points)) < 0.15
    covers[:, 0] = False

    def score(arch: Arch) -> float:
        return float(weights[covers[range(space.positions), arch].any(axis=0)].sum())

    return score


def facility_location(space: SetSpace, rng: np.random.Generator, clients: int = 60) -> SetFunction:
    """Return a random facility location function: each client counts its best facility."""
    worth = _exact(rng.exponential(size=(space.positions, space.types + 1, clients)) ** 2)
    worth[:, 0] = 0.0

    def score(arch: Arch) -> float:
        return float(worth[range(space.positions), arch].max(axis=0).sum())

    return score


def _exact(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to multiples of 1/64: their sums are the same in any order."""
    return np.round(values * 64) / 64


def random_problem(space: SetSpace, rng: np.random.Generator, budgets: int = 2) -> Problem:
    """Return a problem with random costs and budgets that bind: the resources are r0, r1, ..."""
    found = []
    for number in range(budgets):
        values = rng.uniform(0.2, 2.0, (space.positions, space.types + 1))
        values[:, 0] = 0.0
        cost = ElementCost(
            name=f"r{number}", dimension=units.plain("cost"), space=space, values=values
        )
        found.append(Budget(cost, float(rng.uniform(0.25, 0.6)) * space.positions))
    return Problem(space, tuple(found))
