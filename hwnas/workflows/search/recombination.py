"""Networks of parts that a search has scored in others: their scores cost nothing more.

Greedy adds one block at a time and never takes one back, and each of its rules ends where its
own budget is used up. What it has learnt of parts says more: which of them go best together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hwnas.cost import Problem
    from hwnas.evaluate.evaluation import Composed, Evaluation
    from hwnas.spaces import Arch, Job

Parts: TypeAlias = "tuple[Arch, ...]"
"""The parts of one network, in order."""

CLIMBS = 4
"""Scored networks to climb from, the best ones: they mostly end at the same one."""

ROUNDING = 1e-9
"""Share by which costs in bulk may differ from those that decide."""


def combine(
    problem: Problem,
    composed: Composed,
    scored: Mapping[Arch, float],
    parts: Mapping[Job, Evaluation],
    count: int,
) -> dict[Arch, Evaluation]:
    """Return networks of known parts within the budgets, the best ones first.

    From each of the best scored networks it climbs: the best network that fits, has other known
    parts in one place or two, and a higher score, comes next, until there is none.

    Args:
        problem: space and budgets.
        composed: knows the parts of a network, and its score from theirs.
        scored: networks with their scores; what has the parts of one of them is left out.
        parts: evaluations of parts.
        count: networks to return at most.
    """
    known = {arch: tuple(composed.parts(arch)) for arch in scored}
    mixer = _Mixer(problem, composed, parts, _by_place(known.values(), parts))
    for start in sorted(scored, key=lambda arch: -scored[arch])[:CLIMBS]:
        mixer.climb(known[start])
    taken = set(known.values())
    new = {own: arch for own, arch in mixer.fitting.items() if own not in taken}
    best = sorted(new, key=lambda own: (-mixer.score(own), new[own]))[:count]
    return dict(mixer.network(own) for own in best)


def _by_place(networks: Iterable[Parts], parts: Mapping[Job, Evaluation]) -> list[list[Arch]]:
    """Return for every place the parts that were scored there, each once."""
    places = [dict.fromkeys(place) for place in zip(*networks, strict=True)]
    return [[part for part in place if parts[part, 0].failed is None] for place in places]


@dataclass(slots=True)
class _Mixer:
    """Climbs among the networks of known parts.

    Attributes:
        places: the parts that may stand in each place.
        fitting: what was found within the budgets on the way.
    """

    problem: Problem
    composed: Composed
    known: Mapping[Job, Evaluation]
    places: Sequence[Sequence[Arch]]
    fitting: dict[Parts, Arch] = field(default_factory=dict)
    _networks: dict[Parts, tuple[Arch, Evaluation]] = field(default_factory=dict)

    def score(self, own: Parts) -> float:
        """Return the score of the network of these parts."""
        return self.network(own)[1].score

    def network(self, own: Parts) -> tuple[Arch, Evaluation]:
        """Return the network of these parts, and what it is worth."""
        if own not in self._networks:
            arch = self.composed.whole(own)
            evaluation = self.composed.compose(arch, [self.known[part, 0] for part in own])
            self._networks[own] = arch, evaluation
        return self._networks[own]

    def climb(self, own: Parts) -> None:
        """Go from a network to better ones until there is none that fits."""
        current: Parts | None = own
        while current is not None:
            current = self._better(current)

    def _better(self, own: Parts) -> Parts | None:
        """Return the best network that fits and is better; keep the others that fit."""
        here = self.score(own)
        found = [other for other in dict.fromkeys(self._near(own)) if self.score(other) > here]
        fitting = self._fitting(found)
        self.fitting.update((other, self.network(other)[0]) for other in fitting)
        return min(fitting, key=lambda other: (-self.score(other), other), default=None)

    def _near(self, own: Parts) -> Iterator[Parts]:
        """Yield the networks with other parts in at most two places."""
        for left, right in combinations(range(len(own)), 2):
            for pair in product(self.places[left], self.places[right]):
                changed = dict(zip((left, right), pair, strict=True))
                yield tuple(changed.get(place, part) for place, part in enumerate(own))

    def _fitting(self, some: Sequence[Parts]) -> list[Parts]:
        """Return those within the budgets; bulk costs rule most others out."""
        if not some:
            return []
        archs = np.array([self.network(own)[0] for own in some])
        may = np.ones(len(some), bool)
        for budget in self.problem.budgets:
            uppers = budget.cost.many(archs) * (1 + budget.cost.margin)
            may &= uppers <= budget.limit * (1 + ROUNDING)
        likely = [own for own, fits in zip(some, may, strict=True) if fits]
        return [own for own in likely if self.problem.feasible(self.network(own)[0])]
