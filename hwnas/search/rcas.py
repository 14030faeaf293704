"""RCAS: cost-effective greedy under several rules at once; and its eager and paper variants.

Xiong, Mehta, Singh (ICCV 2019), Algorithm 3. The rules run in lockstep, one question each per
turn, so that their evaluations can run side by side; what one rule learnt serves the others.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from hwnas.search.greedy import greedy
from hwnas.search.ledger import Ask
from hwnas.search.rules import default_rules
from hwnas.search.strategy import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hwnas.cost import Problem
    from hwnas.search.ledger import Ledger
    from hwnas.search.strategy import Asking
    from hwnas.spaces import Job

GREEDY = ("eager", "paper", "rcas")
"""Strategies that can choose no block before every block was scored once."""


def rcas(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    """Lazy greedy: exact greedy where scores are monotone and submodular, with fewer scores."""
    yield from _every_rule(problem, ledger, options)


def eager(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    """Plain greedy: every block that fits is scored at every step. The oracle of lazy greedy."""
    yield from _every_rule(problem, ledger, Options(options.rules), eager=True)


def paper(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    """Lazy greedy that ends, as the authors', at the first block that does not fit."""
    yield from _every_rule(problem, ledger, Options(options.rules), first_overflow=True)


def _every_rule(problem: Problem, ledger: Ledger, options: Options, **variant: bool) -> Asking:
    rules = options.rules or default_rules(problem)
    ledger.paths.update({rule.name: [] for rule in rules})
    yield from _lockstep([greedy(problem, rule, ledger, options, **variant) for rule in rules])


def _lockstep(searches: Sequence[Asking]) -> Asking:
    asks = {search: ask for search in searches if (ask := next(search, None))}
    while asks:
        needed = dict.fromkeys(job for ask in asks.values() for job in ask.needed)
        yield Ask(tuple(needed), _in_turns([ask.ahead for ask in asks.values()], set(needed)))
        asks = {search: ask for search in asks if (ask := next(search, None))}


def _in_turns(wishes: Sequence[Iterable[Job]], seen: set[Job]) -> Iterator[Job]:
    """Yield the first wish of every rule, then the second of every rule, each job once."""
    for turn in zip_longest(*wishes):
        for job in turn:
            if job is not None and job not in seen:
                seen.add(job)
                yield job
