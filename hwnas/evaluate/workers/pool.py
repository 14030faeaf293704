"""Which job a worker takes next: needed ones first, then those that may be needed later."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.workers.in_process import InProcess
from hwnas.evaluate.workers.job import may_pass, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.evaluate.workers.job import Outcome, Workers
    from hwnas.spaces import Job


def open_pool(evaluator: Evaluator, workers: int = 0, *, ray: bool = False) -> Pool:
    """Return what evaluates.

    Args:
        evaluator: scores one network.
        workers: processes on this machine, 0 for this process itself; or tasks at a time on Ray.
        ray: evaluate on the Ray cluster that this process is connected to.
    """
    if ray:
        from hwnas.evaluate.workers.ray_tasks import RayTasks

        return Pool(RayTasks(evaluator, workers))
    if workers:
        from hwnas.evaluate.workers.processes import Processes

        return Pool(Processes(evaluator, workers))
    return Pool(InProcess(evaluator))


class Pool:
    """Evaluates jobs, one or many at a time.

    Out of memory or a worker's death is not the end: a needed job is repeated once, alone, and
    then recorded as failed. A diverged training is recorded at once, as it would diverge again.
    What was begun ahead and came to nothing is forgotten until it is needed.
    Workers end with the `with` block, with this process, and on Ctrl-C.

    Attributes:
        begun_ahead: jobs that were begun before they were needed.
    """

    def __init__(self, workers: Workers) -> None:
        self.begun_ahead: set[Job] = set()
        self._workers = workers
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
        return self._workers.parallel

    def results(
        self, needed: Sequence[Job], ahead: Sequence[Job] = ()
    ) -> Iterator[tuple[Job, Evaluation]]:
        """Yield jobs with their evaluations as they are done, until all needed ones are.

        Args:
            needed: jobs to do, each once.
            ahead: jobs that idle workers may begin, likeliest first; what is done of them
                meanwhile is yielded too. Those still in work go on, and are not begun again when
                they are needed later.

        Raises:
            Exception: what the evaluator raised, if it is no verdict on the network.
        """
        undecided, again = set(needed), []
        waiting = deque(job for job in needed if job not in self._in_work)
        wishes = ahead if self.parallel else ()
        later = deque(job for job in wishes if job not in self._in_work | self._not_ahead)
        self._ended.extend(self._workers.finished(wait=False))
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
                self._ended.extend(self._workers.finished(wait=True))
        yield from self._alone(again)

    def _take_ended(self) -> Iterator[tuple[Job, Outcome]]:
        """Yield what has ended; what the caller does not come to is left for the next call."""
        while self._ended:
            job, outcome = self._ended.popleft()
            self._in_work.discard(job)
            yield job, outcome

    def _fill(self, waiting: deque[Job], later: deque[Job]) -> None:
        while len(self._in_work) < self._workers.size and (waiting or later):
            if not waiting:
                self.begun_ahead.add(later[0])
            job = (waiting or later).popleft()
            self._workers.start(job)
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
            self._workers.start(job)
            ((_, outcome),) = self._workers.finished(wait=True)
            yield job, verdict(outcome)

    def _stop(self) -> None:
        self._workers.stop()
        self.begun_ahead -= self._in_work
        self._in_work.clear()
        self._ended.clear()
