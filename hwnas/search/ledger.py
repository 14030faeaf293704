"""What a search knows: scores by network, what was accepted, and how much may still be asked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from hwnas.cost import Problem
    from hwnas.spaces import Arch, Element, Job


class Score(NamedTuple):
    """One evaluation.

    Attributes:
        value: what is maximised.
        stderr: its standard error; 0 if it is exact or not known.
    """

    value: float
    stderr: float = 0.0


class Ask(NamedTuple):
    """What a strategy wants to know.

    Attributes:
        needed: jobs whose scores decide what comes next; not known yet, each once.
        ahead: jobs that may be asked for later, likeliest first, for idle workers. It is gone
            through once, or not at all, before the strategy goes on. A strategy never sees their
            scores before it asks, so results do not depend on who was idle.
    """

    needed: tuple[Job, ...]
    ahead: Iterable[Job] = ()


Scores: TypeAlias = "Mapping[Job, Score | None]"
"""Answers; None where the evaluation failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One accepted network of a path.

    Attributes:
        rule: name of the path.
        arch: the network, as positions.
        element: what was added, None for another kind of move.
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
    """How well lazy evaluation's assumption held, and what noise cost.

    Attributes:
        stale_bounds: old gains that were looked at again.
        violated: those whose new gain was larger: submodularity, or noise, broke the bound.
        raced: choices that were put off for another replicate.
    """

    stale_bounds: int = 0
    violated: int = 0
    raced: int = 0

    def see(self, old: float, new: float) -> None:
        """Count one re-evaluation."""
        self.stale_bounds += 1
        self.violated += new > old


@dataclass(slots=True)
class Ledger:
    """Scores and steps of one search.

    Attributes:
        problem: space and budgets.
        limit: evaluations at most, or None.
        on_step: told every accepted network, as it happens.
        paths: accepted networks by rule.
        evaluations: how many scores were asked for, failed ones included.
        complete: False if the limit ended the search.
        audit: see `Audit`.
    """

    problem: Problem
    limit: int | None = None
    on_step: Callable[[Step], None] = lambda _: None
    paths: dict[str, list[Step]] = field(default_factory=dict)
    evaluations: int = 0
    complete: bool = True
    audit: Audit = field(default_factory=Audit)
    _scores: dict[Arch, list[Score]] = field(default_factory=dict)
    _failed: dict[Arch, None] = field(default_factory=dict)
    _weights: dict[Arch, tuple[tuple[float, ...], bool]] = field(default_factory=dict)
    _followed: str | None = None
    _noise: _Pooled = field(default_factory=lambda: _Pooled())

    # Costs ----------------------------------------------------------------------------------

    def uses(self, network: Arch) -> tuple[float, ...]:
        """Return the used share of each budget."""
        return self._weigh(network)[0]

    def feasible(self, network: Arch) -> bool:
        """Return whether a network keeps within all budgets."""
        return self._weigh(network)[1]

    def _weigh(self, network: Arch) -> tuple[tuple[float, ...], bool]:
        found = self._weights.get(network)
        if found is None:
            found = self._weights[network] = self.problem.weigh(network)
        return found

    # Asking ---------------------------------------------------------------------------------

    def ask(self, archs: Iterable[Arch], ahead: Iterable[Arch] = ()) -> Generator[Ask, None, None]:
        """Have networks scored that are not known yet; use with `yield from`."""
        canonical = dict.fromkeys(map(self.problem.space.canonical, archs))
        needed = [arch for arch in canonical if not self._known(arch)]
        if needed:
            later = map(self.problem.space.canonical, ahead)
            ahead_jobs = ((arch, 0) for arch in later if not self._known(arch))
            yield Ask(tuple((arch, 0) for arch in needed), ahead_jobs)

    def ask_again(self, archs: Iterable[Arch]) -> Generator[Ask, None, None]:
        """Have another replicate of networks that have a score; use with `yield from`."""
        canonical = dict.fromkeys(map(self.problem.space.canonical, archs))
        yield Ask(tuple((arch, self.replicates(arch)) for arch in canonical))

    @property
    def left(self) -> int | None:
        """How many evaluations may still be asked for; None without a limit."""
        return None if self.limit is None else max(0, self.limit - self.evaluations)

    # Answers --------------------------------------------------------------------------------

    def record(self, scores: Scores) -> None:
        """Take the answers to an `Ask`."""
        self.evaluations += len(scores)
        self.learn(scores)

    def learn(self, scores: Scores) -> None:
        """Take scores that nobody had to be asked for."""
        for (arch, _), score in scores.items():
            if score is None:
                if arch not in self._scores:
                    self._failed[arch] = None
                continue
            self._failed.pop(arch, None)
            others = self._scores.setdefault(arch, [])
            self._noise.see(others, score)
            others.append(score)
            if self._followed is not None:
                self._accept_if_better(self._followed, arch)

    def knows(self, arch: Arch) -> bool:
        """Return whether a network was evaluated, with or without success."""
        return self._known(self.problem.space.canonical(arch))

    def _known(self, arch: Arch) -> bool:
        return arch in self._scores or arch in self._failed

    def score(self, arch: Arch) -> float | None:
        """Return the mean score of a network that is known, None if it failed."""
        scores = self._scores.get(self.problem.space.canonical(arch))
        return None if scores is None else sum(score.value for score in scores) / len(scores)

    def stderr(self, arch: Arch) -> float:
        """Return the standard error of the mean score.

        The larger of what the evaluator said, and of what replicates of all networks showed.
        """
        scores = self._scores[self.problem.space.canonical(arch)]
        said = sum(score.stderr**2 for score in scores) / len(scores)
        return math.sqrt(max(said, self._noise.variance) / len(scores))

    def replicates(self, arch: Arch) -> int:
        """Return how many scores a network has."""
        return len(self._scores.get(self.problem.space.canonical(arch), ()))

    @property
    def scored(self) -> dict[Arch, float]:
        """Mean scores of all canonical networks, in order of their first evaluation."""
        return {arch: sum(s.value for s in all_) / len(all_) for arch, all_ in self._scores.items()}

    @property
    def failed(self) -> list[Arch]:
        """Canonical networks that could not be scored, in order."""
        return list(self._failed)

    @property
    def best(self) -> Arch | None:
        """The network with the highest mean score, of equals the first; None if there is none."""
        scored = self.scored
        return max(scored, key=scored.__getitem__) if scored else None

    # Paths ----------------------------------------------------------------------------------

    def accept(self, rule: str, arch: Arch, element: Element | None = None) -> None:
        """Put a scored network at the end of a path."""
        path = self.paths.setdefault(rule, [])
        score = self.score(arch)
        if score is None:
            raise ValueError(f"{arch} has no score")
        step = Step(rule, arch, element, score, score - path[-1].score if path else 0.0)
        path.append(step)
        self.on_step(step)

    def follow(self, rule: str) -> None:
        """Let every network that beats all before it become a step of one path."""
        self._followed = rule
        self.paths.setdefault(rule, [])

    def _accept_if_better(self, rule: str, arch: Arch) -> None:
        score, path = self.score(arch), self.paths[rule]
        if score is not None and (not path or score > path[-1].score):
            self.accept(rule, arch)


@dataclass(slots=True)
class _Pooled:
    """Variance of one evaluation, pooled over all networks that have replicates."""

    squares: float = 0.0
    degrees: int = 0

    @property
    def variance(self) -> float:
        return self.squares / self.degrees if self.degrees else 0.0

    def see(self, others: list[Score], score: Score) -> None:
        """Add the next replicate of a network (Welford's update)."""
        if others:
            mean = sum(other.value for other in others) / len(others)
            self.squares += (score.value - mean) ** 2 * len(others) / (len(others) + 1)
            self.degrees += 1
