"""Lazy cost-effective greedy with exact semantics, for one rule.

Xiong, Mehta, Singh (ICCV 2019), Algorithm 2, as it has to be read to be greedy: a queue entry
holds the gain F(S + v) - F(S) that was last seen for v, and the S that it was seen for. If F is
submodular an old gain bounds the new one from above, so the top entry is the best choice as soon
as it is fresh (Minoux 1978). Costs are those of whole networks and are free: they are taken anew
after every acceptance, and a block that would exceed a budget is never added.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from hwnas.cost import Problem
    from hwnas.search.rules import Rule
    from hwnas.spaces import Arch, Element

Ask: TypeAlias = "list[Arch]"
"""Canonical networks to be scored."""

Tell: TypeAlias = "Mapping[Arch, float | None]"
"""Scores by canonical network; None where the evaluation failed."""

SMALLEST_MARGINAL = 1e-9
"""Share of a budget: a block that costs nothing, or less, still has a finite ratio."""


@dataclass(frozen=True, slots=True)
class Step:
    """One accepted network of a path.

    Attributes:
        rule: name of the rule that took it.
        arch: the network, as positions.
        element: what was added, None for the start network.
        score: F(S).
        gain: F(S) less that of the step before.
    """

    rule: str
    arch: Arch
    element: Element | None
    score: float
    gain: float


@dataclass(slots=True)
class Audit:
    """How well lazy evaluation's assumption held.

    Attributes:
        stale_bounds: old gains that were looked at again.
        violated: those whose new gain was larger: submodularity did not hold there.
    """

    stale_bounds: int = 0
    violated: int = 0

    def see(self, old: float, new: float) -> None:
        """Count one re-evaluation."""
        self.stale_bounds += 1
        self.violated += new > old


@dataclass(slots=True)
class _Greedy:
    problem: Problem
    rule: Rule
    audit: Audit
    max_refreshes: int | None
    known: dict[Arch, float | None] = field(default_factory=dict)

    def score(self, archs: Sequence[Arch]) -> Generator[Ask, Tell, None]:
        """Ask for the networks that are not known yet."""
        canonical = dict.fromkeys(map(self.problem.space.canonical, archs))
        if unknown := [arch for arch in canonical if arch not in self.known]:
            self.known.update((yield unknown))

    def knows(self, arch: Arch) -> bool:
        return self.problem.space.canonical(arch) in self.known

    def of(self, arch: Arch) -> float | None:
        return self.known[self.problem.space.canonical(arch)]


def lazy_greedy(
    problem: Problem,
    rule: Rule,
    audit: Audit,
    on_step: Callable[[Step], None] = lambda step: None,  # noqa: ARG005
    max_refreshes: int | None = None,
) -> Generator[Ask, Tell, None]:
    """Run one rule to the end; every accepted network is told to `on_step`, the start first.

    Yields lists of networks and takes their scores. Ends when no block fits any more, or at once
    when the start network cannot be scored.

    Args:
        problem: space and budgets.
        rule: what a gain is divided by.
        audit: counts the old gains that were looked at again.
        on_step: told every acceptance, as it happens.
        max_refreshes: old gains to evaluate again per step before the best fresh one is taken;
            None goes on until the best one is fresh, which is exact greedy for submodular F.
            With noisy scores the largest of many old gains is mostly luck, and looking at each
            of them again buys little.
    """
    greedy, current = _Greedy(problem, rule, audit, max_refreshes), problem.start()
    yield from greedy.score([current])
    score = greedy.of(current)
    if score is None:
        return
    on_step(Step(rule.name, current, None, score, 0.0))
    gains = yield from _first_gains(greedy, current, score)
    fresh = set(gains)
    while taken := (yield from _next_block(greedy, current, score, gains, fresh)):
        current = problem.space.add(current, taken)
        score += gains[taken]
        on_step(Step(rule.name, current, taken, score, gains[taken]))
        gains = {element: old for element, old in gains.items() if element[0] != taken[0]}
        fresh = set()


def _first_gains(
    greedy: _Greedy, current: Arch, score: float
) -> Generator[Ask, Tell, dict[Element, float]]:
    space, problem = greedy.problem.space, greedy.problem
    networks = {element: space.add(current, element) for element in space.elements(current)}
    networks = {e: network for e, network in networks.items() if problem.feasible(network)}
    yield from greedy.score(list(networks.values()))
    scores = {element: greedy.of(network) for element, network in networks.items()}
    return {element: value - score for element, value in scores.items() if value is not None}


def _next_block(
    greedy: _Greedy,
    current: Arch,
    score: float,
    gains: dict[Element, float],
    fresh: set[Element],
) -> Generator[Ask, Tell, Element | None]:
    """Return the element to add, its gain fresh in `gains`; None when nothing fits."""
    problem, rule, space = greedy.problem, greedy.rule, greedy.problem.space
    before = problem.uses(current)
    queue: list[tuple[float, float, float, Element]] = []
    marginal: dict[Element, float] = {}
    for element in list(gains):
        after = problem.uses(space.add(current, element))
        if max(after, default=0.0) > 1:
            del gains[element]
            continue
        marginal[element] = rule.marginal(before, after)
        queue.append(_entry(element, gains[element], marginal[element], sum(after)))
    heapq.heapify(queue)
    refreshes = 0
    while queue:
        *_, cost, element = heapq.heappop(queue)
        if element in fresh:
            return element
        network = space.add(current, element)
        if not greedy.knows(network):
            if refreshes == greedy.max_refreshes:
                continue
            yield from greedy.score([network])
            refreshes += greedy.of(network) is not None
        value = greedy.of(network)
        if value is None:
            del gains[element]
            continue
        greedy.audit.see(gains[element], value - score)
        gains[element] = value - score
        fresh.add(element)
        heapq.heappush(queue, _entry(element, gains[element], marginal[element], cost))
    return None


def _entry(
    element: Element, gain: float, marginal: float, cost: float
) -> tuple[float, float, float, Element]:
    """Return the queue entry: ratio, then larger gain, smaller cost, position, type.

    A loss is multiplied by the cost, not divided: of two equal losses the cheaper one is better.
    """
    marginal = max(marginal, SMALLEST_MARGINAL)
    key = gain / marginal if gain >= 0 else gain * marginal
    return -key, -gain, cost, element
