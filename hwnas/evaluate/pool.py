"""Evaluations by the list: what does them, and what an outcome says of a network."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol, TypeAlias

from hwnas.errors import EvaluationFailed, HwnasError, TimedOut
from hwnas.evaluate.evaluation import Evaluation, SideBySide

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractContextManager
    from typing import Self

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.spaces import Arch

Job: TypeAlias = "tuple[Arch, int]"
"""An architecture and the number of the replicate."""

Outcome: TypeAlias = "Evaluation | Exception"


class Pool(Protocol):
    """Evaluates jobs, one or many at a time."""

    @property
    def parallel(self) -> bool:
        """Whether there are workers that could do something ahead of need."""

    @property
    def begun_ahead(self) -> AbstractSet[Job]:
        """Jobs that were begun before they were needed."""

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


def open_pool(
    evaluator: Evaluator, workers: int = 0, *, ray: bool = False
) -> AbstractContextManager[Pool]:
    """Return what evaluates.

    Args:
        evaluator: scores one network.
        workers: processes on this machine, 0 for this process itself; or tasks at a time on Ray.
        ray: evaluate on the Ray cluster that this process is connected to.
    """
    if ray:
        from hwnas.evaluate.ray_pool import RayTasks
        from hwnas.evaluate.scheduling import Scheduled

        return Scheduled(RayTasks(evaluator, workers))
    if workers:
        from hwnas.evaluate.processes import Processes
        from hwnas.evaluate.scheduling import Scheduled

        return Scheduled(Processes(evaluator, workers))
    return InProcess(evaluator)


class InProcess:
    """Evaluates in this process: one network after the other, or side by side on a GPU.

    What does not fit into memory is repeated once, alone, and then recorded as failed.
    """

    begun_ahead: AbstractSet[Job] = frozenset()
    parallel = False

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def results(
        self,
        needed: Sequence[Job],
        ahead: Sequence[Job] = (),  # noqa: ARG002
    ) -> Iterator[tuple[Job, Evaluation]]:
        """Yield every needed job with its evaluation, in the order of completion.

        Raises:
            Exception: what the evaluator raised, if it is no verdict on the network.
        """
        again: list[Job] = []
        for job, outcome in self._outcomes(needed):
            if may_pass(outcome):
                again.append(job)
            else:
                yield job, verdict(outcome)
        for job in again:
            yield job, verdict(outcome_of(self._evaluator, job))

    def _outcomes(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        evaluator = self._evaluator
        if not isinstance(evaluator, SideBySide) or evaluator.lanes == 1 or len(jobs) == 1:
            for job in jobs:
                yield job, outcome_of(evaluator, job)
            return
        from hwnas.train.lanes import side_by_side

        lanes, device = evaluator.lanes, evaluator.torch_device
        work = side_by_side(jobs, lambda job: evaluator.work(*job), lanes, device)
        for job, outcome in work:
            if isinstance(outcome, Exception) and not isinstance(outcome, HwnasError | MemoryError):
                raise outcome
            yield job, outcome


class WorkerDied(Exception):  # noqa: N818 - what happened
    """Who evaluated a network ended in the middle of it."""


def outcome_of(evaluator: Evaluator, job: Job) -> Outcome:
    """Evaluate; what may be a verdict on the network is returned, not raised."""
    try:
        return evaluator.evaluate(*job)
    except (HwnasError, MemoryError) as error:
        return error


def may_pass(outcome: Outcome) -> bool:
    """Return whether the same job could have another outcome if it were repeated, alone."""
    return isinstance(outcome, MemoryError | WorkerDied)


def verdict(outcome: Outcome) -> Evaluation:
    """Return what is recorded of a network.

    Raises:
        Exception: the outcome, if it is a mistake of the user's or a bug.
    """
    if isinstance(outcome, Evaluation):
        return outcome
    if isinstance(outcome, EvaluationFailed):
        passing = isinstance(outcome, TimedOut)
        return Evaluation.failure(str(outcome), outcome.images, may_pass=passing)
    if isinstance(outcome, MemoryError | WorkerDied):
        return Evaluation.failure(str(outcome) or "out of memory", may_pass=True)
    raise outcome


def use_one_thread() -> None:
    """Leave the other cores to other workers.

    Networks this small hardly gain from a second thread, while a second worker trains a second
    network.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    # Its threads are counted when it is imported; where it is not, the line above is enough.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
