"""Cost-effective greedy with exact semantics, for one rule, lazy or eager.

Xiong, Mehta, Singh (ICCV 2019), Algorithm 2, as it has to be read to be greedy: a queue entry
holds the gain F(S + v) - F(S) that was last seen for v, and whether it was seen for this S. If F is
submodular an old gain bounds the new one from above, so the top entry is the best choice as soon
as it is fresh (Minoux 1978). Costs are those of whole networks and are free: they are taken anew
after every acceptance, and a block that would exceed a budget is never added.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hwnas.search.racing import Contender, close_rival

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from hwnas.cost import Problem
    from hwnas.search.ledger import Ask, Ledger
    from hwnas.search.rules import Rule
    from hwnas.search.strategy import Asking, Options
    from hwnas.spaces import Arch, Element

SMALLEST_MARGINAL = 1e-9
"""Share of a budget: a block that costs nothing, or less, still has a finite ratio."""

AHEAD = 8
"""Queue entries that idle workers are told of."""


class Entry(NamedTuple):
    """A network one block larger, in the queue; the smallest comes first.

    Ratio, then larger gain, smaller cost, position, type.
    """

    key: float
    loss: float
    cost: float
    element: Element
    network: Arch


@dataclass(slots=True)
class _Greedy:
    """State of one rule.

    Attributes:
        told: limits on refreshes and replicates.
        eager: evaluate every block that fits at every step, as the oracle does.
        first_overflow: end at the first block that does not fit, as the paper's authors did,
            instead of going on with those that do.
        current: the network so far.
        here: its score when it was taken; later replicates do not move it.
        gains: last known gain of every block that may still be added.
        options: networks one block larger, with the blocks that lead there.
        fresh: those whose gain was seen for the current network.
    """

    problem: Problem
    rule: Rule
    ledger: Ledger
    told: Options
    eager: bool
    first_overflow: bool
    current: Arch
    here: float = 0.0
    gains: dict[Element, float] = field(default_factory=dict)
    options: dict[Arch, list[Element]] = field(default_factory=dict)
    fresh: set[Arch] = field(default_factory=set)

    def take(self, arch: Arch, element: Element | None = None) -> None:
        """Accept a network; all gains are old from now on."""
        self.ledger.accept(self.rule.name, arch, element)
        self.current, self.here = arch, self.ledger.paths[self.rule.name][-1].score
        self.options = {}
        self.fresh = set()

    def look_around(self) -> None:
        """Find the blocks that can be added next, without those that do not fit any more.

        Costs rise with every block, so what does not fit now never will. The paper's variant
        keeps it, to stumble over it.
        """
        gains, self.gains = self.gains, {}
        for network, elements in self.problem.space.additions(self.current).items():
            known = [element for element in elements if element in gains]
            if known and (self.first_overflow or self.ledger.feasible(network)):
                self.options[network] = known
                self.gains.update((element, gains[element]) for element in known)

    def look(self, network: Arch) -> None:
        """Take the gain of a network that is known; a failed one is dropped."""
        score, elements = self.ledger.score(network), self.options[network]
        if score is None:
            for element in self.options.pop(network):
                del self.gains[element]
            return
        if network not in self.fresh and (old := self._gain(network)) < math.inf:
            self.ledger.audit.see(old, score - self.here)
        self.gains.update(dict.fromkeys(elements, score - self.here))
        self.fresh.add(network)

    def _gain(self, network: Arch) -> float:
        return max(self.gains[element] for element in self.options[network])

    def marginal(self, network: Arch) -> float:
        """Return what a block adds to the rule's cost."""
        uses = self.ledger.uses
        return max(self.rule.marginal(uses(self.current), uses(network)), SMALLEST_MARGINAL)

    def entry(self, network: Arch) -> Entry:
        """Return the queue entry of a network.

        A loss is multiplied by the cost, not divided: of two equal losses the cheaper is better.
        """
        gain, marginal = self._gain(network), self.marginal(network)
        key = gain / marginal if gain >= 0 else gain * marginal
        element = min(e for e in self.options[network] if self.gains[e] == gain)
        return Entry(-key, -gain, sum(self.ledger.uses(network)), element, network)

    def contender(self, entry: Entry) -> Contender:
        """Return a fresh entry with its noise."""
        marginal = self.marginal(entry.network)
        scale = 1 / marginal if entry.loss <= 0 else marginal
        return Contender(
            entry.network,
            entry.element,
            -entry.key,
            scale * self.ledger.stderr(entry.network),
            self.ledger.replicates(entry.network) < self.told.replicates,
        )


def greedy(
    problem: Problem,
    rule: Rule,
    ledger: Ledger,
    options: Options,
    *,
    eager: bool = False,
    first_overflow: bool = False,
) -> Asking:
    """Run one rule to the end; every accepted network goes to the ledger, the start first.

    Ends when no block fits any more, or at once when the start network cannot be scored. For the
    variants see `_Greedy`.
    """
    state = _Greedy(problem, rule, ledger, options, eager, first_overflow, problem.start())
    yield from ledger.ask([state.current])
    if ledger.score(state.current) is None:
        return
    state.take(state.current)
    state.gains = dict.fromkeys(problem.space.elements(state.current), math.inf)
    state.look_around()
    yield from _refresh_all(state)
    while (taken := (yield from _next_block(state))) is not None:
        state.take(problem.space.add(state.current, taken), taken)


def _next_block(state: _Greedy) -> Generator[Ask, None, Element | None]:
    """Return the block to add, its gain fresh; None when nothing fits."""
    state.look_around()
    if state.eager:
        yield from _refresh_all(state)
    queue = [state.entry(network) for network in state.options]
    heapq.heapify(queue)
    refreshes = 0
    while queue:
        top = heapq.heappop(queue)
        if not state.ledger.feasible(top.network):
            return None
        if top.network in state.fresh:
            if not (yield from _race(state, queue, top)):
                return top.element
        elif not state.ledger.knows(top.network):
            if refreshes == state.told.max_refreshes:
                continue
            refreshes += yield from _refresh(state, queue, top, refreshes)
        else:
            state.look(top.network)
        if top.network in state.options:
            heapq.heappush(queue, state.entry(top.network))
    return None


def _refresh(
    state: _Greedy, queue: list[Entry], top: Entry, refreshes: int
) -> Generator[Ask, None, bool]:
    """Have the top network scored; return whether that succeeded."""
    likely = _likely_next(state, queue, top, refreshes)
    yield from state.ledger.ask([top.network], filter(state.ledger.feasible, likely))
    state.look(top.network)
    return top.network in state.options


def _likely_next(state: _Greedy, queue: list[Entry], top: Entry, refreshes: int) -> Iterator[Arch]:
    """Yield what may have to be scored next, likeliest first.

    If the top entry falls behind: other old gains. If it stays on top: old gains after its block
    was added.
    """
    space, limit = state.problem.space, state.told.max_refreshes
    more = AHEAD if limit is None else limit - refreshes - 1
    with_top = space.add(state.current, top.element)
    free = set(space.elements(with_top))
    for entry in heapq.nsmallest(AHEAD, queue):
        if more > 0 and not state.ledger.knows(entry.network):
            more -= 1
            yield entry.network
        element = next((e for e in state.options[entry.network] if e in free), None)
        if element is not None:
            yield space.add(with_top, element)


def _refresh_all(state: _Greedy) -> Asking:
    """Score every block that fits."""
    yield from state.ledger.ask(filter(state.ledger.feasible, state.options))
    for network in list(state.options):
        state.look(network)


def _race(state: _Greedy, queue: list[Entry], top: Entry) -> Generator[Ask, None, bool]:
    """Score the top network and a rival once more if noise could have swapped them.

    Returns whether that was done, so that the queue has to be looked at again.
    """
    if state.told.replicates < 2:
        return False
    fresh = [state.contender(entry) for entry in queue if entry.network in state.fresh]
    leader = state.contender(top)
    rival = close_rival(state.problem, state.current, leader, fresh)
    if rival is None:
        return False
    again = [contender.network for contender in (leader, rival) if contender.open]
    yield from state.ledger.ask_again(again)
    state.ledger.audit.raced += 1
    for network in again:
        state.look(network)
    queue[:] = [state.entry(e.network) if e.network in again else e for e in queue]
    heapq.heapify(queue)
    return True
