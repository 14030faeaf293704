"""Worker processes on this machine: they may die, and they end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from hwnas.errors import TimedOut
from hwnas.evaluate.evaluation import Limited
from hwnas.evaluate.pool import WorkerDied, outcome_of, use_one_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.evaluate.pool import Job, Outcome


GRACE_S = 30.0
"""A worker is killed so long after twice the time limit: trainings look at it between steps."""
PREPARATION_S = 3600.0
"""The first job of a process, and of a replicate there, may take so much longer: it starts torch,
reads images, and makes what all later jobs share."""


class Processes:
    """A crew of processes, each started when it is first wanted.

    One that hangs is killed, where the evaluator has a time limit.
    """

    def __init__(self, evaluator: Evaluator, size: int) -> None:
        self.size = size
        self._evaluator = evaluator
        longest = evaluator.longest_s if isinstance(evaluator, Limited) else None
        self._allowed_s = None if longest is None else 2 * longest + GRACE_S
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Job]] = {}

    def start(self, job: Job) -> None:
        """Give a job to an idle worker."""
        worker = self._idle.pop() if self._idle else _Worker(self._evaluator)
        self._busy[worker.connection] = worker, job
        worker.start(job, self._allowed_s)

    def finished(self, *, wait: bool) -> list[tuple[Job, Outcome]]:
        """Return what has ended since the last call, waiting for at least one if asked to."""
        while True:
            ready = _readable([*self._busy], self._patience_s() if wait else 0)
            ended = [self._take(connection) for connection in ready] + self._killed()
            if ended or not wait:
                return ended

    def _take(self, connection: Connection) -> tuple[Job, Outcome]:
        worker, job = self._busy[connection]
        outcome = worker.result(job)
        del self._busy[connection]
        if isinstance(outcome, WorkerDied):
            worker.stop()
        else:
            self._idle.append(worker)
        return job, outcome

    def _patience_s(self) -> float | None:
        """Return how long it is until somebody has taken too long; None for ever."""
        deadlines = [worker.deadline for worker, _ in self._busy.values()]
        first = min((deadline for deadline in deadlines if deadline is not None), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

    def _killed(self) -> list[tuple[Job, Outcome]]:
        """End the workers that have taken too long; return their jobs."""
        now = time.monotonic()
        killed: list[tuple[Job, Outcome]] = []
        for connection, (worker, job) in [*self._busy.items()]:
            if worker.deadline is not None and worker.deadline < now:
                worker.stop()
                del self._busy[connection]
                reason = f"timed out: no answer within {worker.allowed_s:g} s, so it was killed"
                killed.append((job, TimedOut(reason)))
        return killed

    def stop(self) -> None:
        """End all processes."""
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            worker.stop()
        self._idle, self._busy = [], {}


def _readable(busy: Iterable[Connection], timeout: float | None) -> list[Connection]:
    """Return connections that have something to tell, those that began first in front."""
    ready = wait(list(busy), timeout)
    return [connection for connection in busy if connection in ready]


class _Worker:
    """A process that evaluates one job after the other.

    Attributes:
        allowed_s: how long the present job may take; None for ever.
        deadline: when it has to be done, by `time.monotonic`; None for never.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        # Not fork: a copy of a process whose torch threads hold locks can hang.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, evaluator), daemon=True)
        with _interrupts_held_back():
            self._process.start()
        theirs.close()
        self.allowed_s: float | None = None
        self.deadline: float | None = None
        self._prepared: set[int] = set()

    def start(self, job: Job, allowed_s: float | None) -> None:
        if allowed_s is not None:
            self.allowed_s = allowed_s + PREPARATION_S * (job[1] not in self._prepared)
            self.deadline = time.monotonic() + self.allowed_s
        with suppress(BrokenPipeError):  # `result` tells of the death
            self.connection.send(job)

    def result(self, job: Job) -> Outcome:
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            return WorkerDied(_death(self._process.exitcode))
        self._prepared.add(job[1])
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
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_one_thread()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            job = connection.recv()
            try:
                outcome = outcome_of(evaluator, job)
            except Exception:  # noqa: BLE001 - a bug: shown where the user is
                outcome = RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
            connection.send(outcome)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, killed ones included.

    What is in work has nobody to go to, and would slow down a search that goes on meanwhile.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _death(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "the evaluating process was killed, as systems do when memory runs out"
    return f"the evaluating process died with exit code {exit_code}"
