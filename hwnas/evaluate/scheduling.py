"""Which job a worker takes next: needed ones first, then those that may be needed later."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.pool import may_pass, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from hwnas.evaluate.pool import Job, Outcome


class Crew(Protocol):
    """Workers that may die; each has one job at a time."""

    @property
    def size(self) -> int:
        """How many jobs can be in work."""

    def start(self, job: Job) -> None:
        """Begin a job; there are fewer than `size` in work."""

    def finished(self, *, wait: bool) -> list[tuple[Job, Outcome]]:
        """Return what has ended since the last call, waiting for at least one if asked to."""

    def stop(self) -> None:
        """End all workers and what they have in work; `start` makes new ones."""


class Scheduled:
    """Runs jobs on a crew.

    Out of memory or a worker's death is not the end: a needed job is repeated once, alone, and
    then recorded as failed. A diverged training is recorded at once, as it would diverge again.
    What was begun ahead and came to nothing is forgotten until it is needed.
    Workers end with the `with` block, with this process, and on Ctrl-C.
    """

    def __init__(self, crew: Crew) -> None:
        self.begun_ahead: set[Job] = set()
        self._crew = crew
        self._in_work: set[Job] = set()
        self._ended: deque[tuple[Job, Outcome]] = deque()
        self._not_ahead: set[Job] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def parallel(self) -> bool:
        """Whether there are workers that could do something ahead of need."""
        return self._crew.size > 1

    def results(
        self, needed: Sequence[Job], ahead: Sequence[Job] = ()
    ) -> Iterator[tuple[Job, Evaluation]]:
        """Yield jobs with their evaluations, in the order of completion; see `Pool`."""
        undecided, again = set(needed), []
        waiting = deque(job for job in needed if job not in self._in_work)
        later = deque(job for job in ahead if job not in self._in_work | self._not_ahead)
        self._ended.extend(self._crew.finished(wait=False))
        while undecided:
            for job, outcome in self._take_ended():
                if job not in undecided:
                    yield from self._ahead_of_need(job, outcome)
                elif may_pass(outcome):
                    undecided.remove(job)
                    again.append(job)
                else:
                    undecided.remove(job)
                    yield job, verdict(outcome)
            if undecided:
                self._fill(waiting, later)
                self._ended.extend(self._crew.finished(wait=True))
        yield from self._alone(again)

    def _take_ended(self) -> Iterator[tuple[Job, Outcome]]:
        """Yield what has ended; what the caller does not come to is left for the next call."""
        while self._ended:
            job, outcome = self._ended.popleft()
            self._in_work.discard(job)
            yield job, outcome

    def _fill(self, waiting: deque[Job], later: deque[Job]) -> None:
        while len(self._in_work) < self._crew.size and (waiting or later):
            if not waiting:
                self.begun_ahead.add(later[0])
            job = (waiting or later).popleft()
            self._crew.start(job)
            self._in_work.add(job)

    def _ahead_of_need(self, job: Job, outcome: Outcome) -> Iterator[tuple[Job, Evaluation]]:
        """Yield a verdict; anything else waits until the job is needed, which may be never."""
        if isinstance(outcome, Evaluation | EvaluationFailed):
            yield job, verdict(outcome)
        else:
            self._not_ahead.add(job)
            self.begun_ahead.discard(job)

    def _alone(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Evaluation]]:
        """Repeat jobs one by one: with the other workers gone, a large network may fit."""
        for job in jobs:
            self._stop()
            self._crew.start(job)
            ((_, outcome),) = self._crew.finished(wait=True)
            yield job, verdict(outcome)

    def _stop(self) -> None:
        self._crew.stop()
        self.begun_ahead -= self._in_work
        self._in_work.clear()
        self._ended.clear()
