"""RCAS: lazy greedy under several rules at once, the best network of all paths wins.

Xiong, Mehta, Singh (ICCV 2019), Algorithm 3. The rules run in lockstep, one question each per
turn, so that their evaluations can run side by side; what one rule learnt serves the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas.search.lazy import Ask, Audit, Step, Tell, lazy_greedy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from hwnas.cost import Problem
    from hwnas.search.rules import Rule
    from hwnas.spaces import Arch


@dataclass(slots=True)
class Outcome:
    """What a search did.

    Attributes:
        paths: accepted networks by rule name, the start network first.
        evaluations: distinct networks that were scored.
        complete: False if the limit on evaluations ended it.
        audit: how often old gains were no bounds.
    """

    paths: dict[str, list[Step]]
    evaluations: int = 0
    complete: bool = True
    audit: Audit = field(default_factory=Audit)

    @property
    def best(self) -> Step:
        """The step with the highest score over all rules; of equals the earliest."""
        steps = [step for path in self.paths.values() for step in path]
        return max(steps, key=lambda step: step.score)


def rcas(
    problem: Problem,
    rules: Sequence[Rule],
    max_evaluations: int | None = None,
    on_step: Callable[[Step], None] = lambda step: None,  # noqa: ARG005
    max_refreshes: int | None = None,
) -> Generator[Ask, Tell, Outcome]:
    """Yield networks to be scored, take their scores, return the outcome.

    Args:
        problem: space and budgets.
        rules: at least one.
        max_evaluations: end after so many distinct networks.
        on_step: told every acceptance, as it happens.
        max_refreshes: see `lazy_greedy`.
    """
    outcome = Outcome({rule.name: [] for rule in rules})

    def accept(step: Step) -> None:
        outcome.paths[step.rule].append(step)
        on_step(step)

    known: dict[Arch, float | None] = {}
    searches = [lazy_greedy(problem, rule, outcome.audit, accept, max_refreshes) for rule in rules]
    asks = {search: next(search) for search in searches}
    while asks:
        wanted = dict.fromkeys(arch for ask in asks.values() for arch in ask)
        unknown = [arch for arch in wanted if arch not in known]
        if max_evaluations is not None and len(known) + len(unknown) > max_evaluations:
            outcome.complete = False
            break
        if unknown:
            known.update((yield unknown))
        answers = {
            search: _answer(search, {arch: known[arch] for arch in ask})
            for search, ask in asks.items()
        }
        asks = {search: ask for search, ask in answers.items() if ask}
    outcome.evaluations = len(known)
    return outcome


def _answer(search: Generator[Ask, Tell, None], scores: Tell) -> Ask | None:
    try:
        return search.send(scores)
    except StopIteration:
        return None
