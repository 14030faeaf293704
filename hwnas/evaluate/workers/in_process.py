"""Evaluations in this process: one network after the other, or side by side on a GPU."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hwnas.evaluate.evaluation import SideBySide
from hwnas.evaluate.workers.job import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.evaluate.workers.job import Outcome
    from hwnas.spaces import Job


class InProcess:
    """Takes all jobs there are, and does them when it is waited for."""

    size = sys.maxsize
    parallel = False

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._waiting: list[Job] = []
        self._outcomes: Iterator[tuple[Job, Outcome]] = iter(())

    def start(self, job: Job) -> None:
        """Note a job."""
        self._waiting.append(job)

    def finished(self, *, wait: bool) -> list[tuple[Job, Outcome]]:
        """Return the next job that is done, if asked to wait for it."""
        if not wait:
            return []
        if self._waiting:
            self._outcomes, self._waiting = self._done(self._waiting), []
        return [next(self._outcomes)]

    def stop(self) -> None:
        """Forget what was not done."""
        self._outcomes, self._waiting = iter(()), []

    def _done(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        evaluator = self._evaluator
        if not isinstance(evaluator, SideBySide) or evaluator.lanes == 1 or len(jobs) == 1:
            for job in jobs:
                yield job, outcome_of(evaluator, job)
            return
        from hwnas.train.lanes import side_by_side

        lanes, device = evaluator.lanes, evaluator.torch_device
        yield from side_by_side(jobs, lambda job: evaluator.work(*job), lanes, device)
