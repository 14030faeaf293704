"""Many evaluations at a time, in worker processes that may die.

One thread per process: networks this small hardly gain from a second thread, while a second process
trains a second network.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Protocol, TypeAlias

from hwnas.errors import EvaluationFailed, HwnasError
from hwnas.evaluate.evaluation import Evaluation, SideBySide

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.spaces import Arch

Job: TypeAlias = "tuple[Arch, int]"
"""An architecture and the number of the replicate."""

Outcome: TypeAlias = "Evaluation | BaseException"


class Pool(Protocol):
    """Evaluates jobs, one or many at a time."""

    @property
    def parallel(self) -> bool:
        """Whether there are workers that could do something ahead of need."""

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


class EvaluationPool:
    """Runs an evaluator's jobs, in this process or in `workers` others.

    Out of memory or a worker's death is not the end: the job is repeated once, alone, and then
    recorded as failed. A diverged training is recorded at once, as it would diverge again.
    Workers end with the `with` block, with this process, and on Ctrl-C.
    """

    def __init__(self, evaluator: Evaluator, workers: int = 0) -> None:
        self._evaluator = evaluator
        self._count = workers
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def parallel(self) -> bool:
        """Whether there are workers that could do something ahead of need."""
        return False

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
            if _may_pass(outcome):
                again.append(job)
            else:
                yield job, _verdict(outcome)
        if again:
            # With the other workers gone, a network that was too large beside them may fit.
            self._stop()
        for job in again:
            for _, outcome in self._outcomes([job]):
                yield job, _verdict(outcome)

    def _outcomes(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        if not self._count:
            yield from _here(self._evaluator, jobs)
            return
        waiting = deque(jobs)
        busy: dict[Connection, tuple[_Worker, Job]] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self._count:
                    worker = self._idle(busy)
                    job = waiting.popleft()
                    worker.start(job)
                    busy[worker.connection] = worker, job
                ready = wait(list(busy))
                for connection in [c for c in busy if c in ready]:
                    worker, job = busy.pop(connection)
                    yield job, self._collect(worker)
        finally:
            # The caller stopped early: what still runs would be taken for a later answer.
            for worker, _ in busy.values():
                self._discard(worker)

    def _idle(self, busy: dict[Connection, tuple[_Worker, Job]]) -> _Worker:
        for worker in self._workers:
            if worker.connection not in busy:
                return worker
        self._workers.append(_Worker(self._evaluator))
        return self._workers[-1]

    def _collect(self, worker: _Worker) -> Outcome:
        try:
            return worker.result()
        except WorkerDied as death:
            self._discard(worker)
            return death

    def _discard(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.stop()

    def _stop(self) -> None:
        for worker in list(self._workers):
            self._discard(worker)


class WorkerDied(Exception):  # noqa: N818 - what happened
    """A worker process ended in the middle of an evaluation."""


class _Worker:
    """A process that evaluates one job after the other."""

    def __init__(self, evaluator: Evaluator) -> None:
        # Not fork: a copy of a process whose torch threads hold locks can hang.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, evaluator), daemon=True)
        with _interrupts_held_back():
            self._process.start()
        theirs.close()

    def start(self, job: Job) -> None:
        with suppress(BrokenPipeError):  # `result` tells of the death
            self.connection.send(job)

    def result(self) -> Outcome:
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise WorkerDied(_death(self._process.exitcode)) from None
        return outcome

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Keep Ctrl-C from a process that starts now, for all its life, and from this one until then.

    It reaches all processes of a terminal; this one alone decides what it means. The new process
    inherits the blocked signal. Here a block is not enough, as another thread may take the signal
    for the main one and interrupt it between starting the process and telling it what to do: so
    it is noted, and raised afterwards. None is lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: noted.append(number))
    # Starting multiprocessing's own helper lifts a block; so it has to be there before.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, handler)
    if noted:
        raise KeyboardInterrupt


def _serve(connection: Connection, evaluator: Evaluator) -> None:
    """Answer jobs until the other end is gone."""
    _use_one_thread()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            job = connection.recv()
            try:
                outcome = _evaluate(evaluator, job)
            except Exception:  # noqa: BLE001 - a bug: shown where the user is
                outcome = RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
            connection.send(outcome)


def _use_one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


def _here(evaluator: Evaluator, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
    """Evaluate in this process, side by side if the evaluator can."""
    if not isinstance(evaluator, SideBySide) or evaluator.lanes == 1 or len(jobs) == 1:
        for job in jobs:
            yield job, _evaluate(evaluator, job)
        return
    import torch

    from hwnas.train.lanes import side_by_side

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    work = side_by_side(jobs, lambda job: evaluator.work(*job), evaluator.lanes, device)
    for job, outcome in work:
        if isinstance(outcome, Exception) and not isinstance(outcome, HwnasError | MemoryError):
            raise outcome
        yield job, outcome


def _evaluate(evaluator: Evaluator, job: Job) -> Outcome:
    try:
        return evaluator.evaluate(*job)
    except (HwnasError, MemoryError) as error:
        return error


def _death(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "the evaluating process was killed, as systems do when memory runs out"
    return f"the evaluating process died with exit code {exit_code}"


def _may_pass(outcome: Outcome) -> bool:
    return isinstance(outcome, MemoryError | WorkerDied)


def _verdict(outcome: Outcome) -> Evaluation:
    if isinstance(outcome, Evaluation):
        return outcome
    if isinstance(outcome, EvaluationFailed | MemoryError | WorkerDied):
        text = str(outcome) or "out of memory"
        return Evaluation.failure(text)
    raise outcome
