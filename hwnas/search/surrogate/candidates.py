"""Networks within the budgets, to choose the next one from."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hwnas.search.random_networks import TRIES, draw_new
from hwnas.spaces import neighbours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.cost import Problem
    from hwnas.search.ledger import Ledger
    from hwnas.search.surrogate.features import Describer, Features
    from hwnas.spaces import Arch

ENUMERATED = 20_000
"""A space up to this size is listed."""

LISTED = 2_000
"""Networks of such a list to choose from per step, drawn anew, beside neighbours of the best."""

PARENTS, MUTANTS = 8, 600
"""In a larger space: how many of the best networks are changed, into how many candidates."""


class Candidates:
    """Candidates of one search."""

    def __init__(
        self, problem: Problem, ledger: Ledger, describer: Describer, rng: np.random.Generator
    ) -> None:
        self._problem, self._space = problem, problem.space
        self._ledger, self._describer, self._rng = ledger, describer, rng

    def draw(self, avoid: Sequence[Arch] = ()) -> Arch | None:
        """Return a random network within the budgets that is not known, None if that is rare."""
        return draw_new(self._problem, self._rng, lambda a: self._ledger.knows(a) or a in avoid)

    def propose(self, best: Sequence[Arch]) -> tuple[list[Arch], Features]:
        """Return networks that are not known yet, with their features.

        Args:
            best: canonical networks to go on from, the best first.
        """
        near = dict.fromkeys(a for arch in best[:PARENTS] for a in neighbours(self._space, arch))
        if self._space.size <= ENUMERATED:
            return self._listed(near)
        found = near | dict.fromkeys(self._children(list(best[:PARENTS])))
        drawn = [self._space.sample(self._rng) for _ in range(MUTANTS // 6)]
        chosen = self._usable([*found, *drawn])
        if not chosen:
            drawn = [arch for _ in range(TRIES) if (arch := self.draw())]
            chosen = list(dict.fromkeys(drawn))
        return chosen, self._describe(chosen)

    def _usable(self, archs: Sequence[Arch]) -> list[Arch]:
        known, feasible = self._ledger.knows, self._ledger.feasible
        return [arch for arch in dict.fromkeys(archs) if not known(arch) and feasible(arch)]

    def _describe(self, archs: list[Arch]) -> Features:
        if not archs:
            return []
        return self._describer(archs, [self._ledger.uses(arch) for arch in archs])

    # Small spaces ---------------------------------------------------------------------------

    @cached_property
    def _all(self) -> tuple[list[Arch], dict[Arch, int], Features]:
        inside = list(filter(self._ledger.feasible, self._space.networks()))
        return inside, {arch: row for row, arch in enumerate(inside)}, self._describe(inside)

    def _listed(self, near: dict[Arch, None]) -> tuple[list[Arch], Features]:
        archs, rows, features = self._all
        free = np.array([row for arch, row in rows.items() if not self._ledger.knows(arch)], int)
        if len(free) > LISTED:
            drawn = self._rng.choice(free, LISTED, replace=False)
            close = [rows[arch] for arch in self._usable(list(near))]
            free = np.unique(np.r_[drawn, np.array(close, int)])
        return [archs[row] for row in free], [level[free] for level in features]

    # Large spaces ---------------------------------------------------------------------------

    def _children(self, parents: list[Arch]) -> list[Arch]:
        children = (self._child(parents) for _ in range(MUTANTS))
        inside = filter(self._space.contains, children)
        return [self._space.canonical(child) for child in inside]

    def _child(self, parents: list[Arch]) -> Arch:
        """Cross two good networks, or change one to four positions of one."""
        first, second = (parents[int(i)] for i in self._rng.integers(len(parents), size=2))
        if first != second and self._rng.random() < 0.25:
            mask = self._rng.random(len(first)) < 0.5
            pairs = zip(mask, first, second, strict=True)
            return tuple(left if take else right for take, left, right in pairs)
        child = list(first)
        for place in self._rng.integers(len(first), size=int(self._rng.integers(1, 5))).tolist():
            types = self._space.choices[place]
            child[place] = types[int(self._rng.integers(len(types)))]
        return tuple(child)
