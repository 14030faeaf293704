"""Strategies: they ask for networks to be scored, look up the answers, and accept some.

A strategy is a generator function. It yields what it wants to know; when it is resumed, the ledger
holds the answers. It never sees how, where or in which order networks were evaluated, so that the
same scores give the same search.

    def one_by_one(problem, ledger, options):
        ledger.follow("one-by-one")
        for arch in candidates(problem):
            yield from ledger.ask([arch])

What it cannot do, such as to search without a limit, it says when it is called, before anything is
scored or written; so a strategy that checks something is a function that returns a generator.
Others come in as entry points of the group "hwnas.strategies".
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from hwnas import plugins
from hwnas.search.ledger import Ask, Ledger, Scores

if TYPE_CHECKING:
    from hwnas.cost import Problem
    from hwnas.search.rules import Rule

GROUP = "hwnas.strategies"


@dataclass(frozen=True, slots=True)
class Options:
    """What a strategy may be told; each takes what it understands.

    Attributes:
        rules: of greedy strategies.
        seed: of random choices.
        max_refreshes: old gains to evaluate again per greedy step before the best fresh one is
            taken; None goes on until the best one is fresh, which is exact greedy for submodular
            scores. With noisy scores the largest of many old gains is mostly luck.
        replicates: scores per network at most, where a choice hangs on noise.
        batch: networks that `surrogate` chooses at a time, to be scored side by side.
    """

    rules: tuple[Rule, ...] = ()
    seed: int = 0
    max_refreshes: int | None = None
    replicates: int = 1
    batch: int = 1


Asking: TypeAlias = Generator[Ask, None, None]
Strategy: TypeAlias = "Callable[[Problem, Ledger, Options], Asking]"


def find_strategy(name: str) -> Strategy:
    """Return a strategy by name.

    Raises:
        UserError: unknown name.
    """
    strategy: Strategy = plugins.load(GROUP, "strategy", name)
    return strategy


def drive(asking: Asking, ledger: Ledger, evaluate: Callable[[Ask], Scores]) -> None:
    """Run a strategy to its end or to the ledger's limit.

    Args:
        asking: the strategy, called.
        ledger: the one that it was called with.
        evaluate: returns the scores of the needed jobs, and of no others.

    Raises:
        ValueError: the strategy asked for a network that exceeds a budget.
    """
    for ask in asking:
        for arch, _ in ask.needed:
            if not ledger.feasible(arch):
                raise ValueError(f"the strategy asked for a network over budget: {arch}")
        allowed = ask.needed[: ledger.left]
        if allowed:
            # What the limit rules out will never be needed.
            left = None if ledger.left is None else ledger.left - len(allowed)
            ledger.record(evaluate(Ask(allowed, islice(ask.ahead, left))))
        if len(allowed) < len(ask.needed):
            ledger.complete = False
            asking.close()
            return
