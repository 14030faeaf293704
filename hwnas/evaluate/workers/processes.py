"""Worker processes on this machine: they may die, and they end with the one that started them."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as _readable
from typing import TYPE_CHECKING

from hwnas.errors import TimedOut
from hwnas.evaluate.evaluation import Limited
from hwnas.evaluate.workers.job import WorkerDied, outcome_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.evaluate.workers.job import Outcome
    from hwnas.spaces import Job


GRACE_S = 30.0
"""A worker is killed so long after twice the time limit: trainings look at it between steps."""
PREPARATION_S = 3600.0
"""The first job of a process, and of a replicate there, may take so much longer: it starts torch,
reads images, and makes what all later jobs share."""


class Processes:
    """Processes, each started when it is first wanted.

    One that hangs is killed, where the evaluator has a time limit.
    """

    def __init__(self, evaluator: Evaluator, size: int) -> None:
        self.size = size
        self.parallel = size > 1
        self._evaluator = evaluator
        longest = evaluator.longest_s if isinstance(evaluator, Limited) else None
        self._allowed_s = math.inf if longest is None else 2 * longest + GRACE_S
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []

    def start(self, job: Job) -> None:
        """Give a job to an idle worker."""
        worker = self._idle.pop() if self._idle else _Worker(self._evaluator)
        self._busy.append(worker)
        worker.start(job, self._allowed_s)

    def finished(self, *, wait: bool) -> list[tuple[Job, Outcome]]:
        """Return what has ended since the last call, waiting for at least one if asked to."""
        while True:
            ended = [(worker.job, self._take(worker)) for worker in self._ready(wait=wait)]
            if ended or not wait:
                return ended

    def _ready(self, *, wait: bool) -> list[_Worker]:
        """Return who has ended its job or taken too long, those that began first in front."""
        deadline = min((worker.deadline for worker in self._busy), default=math.inf)
        patience_s = max(0.0, deadline - time.monotonic()) if wait else 0.0
        connections = [worker.connection for worker in self._busy]
        told = _readable(connections, None if patience_s == math.inf else patience_s)
        now = time.monotonic()
        return [w for w in self._busy if w.connection in told or w.deadline < now]

    def _take(self, worker: _Worker) -> Outcome:
        outcome = worker.result()
        self._busy.remove(worker)
        if worker.alive:
            self._idle.append(worker)
        return outcome

    def stop(self) -> None:
        """End all processes."""
        for worker in [*self._idle, *self._busy]:
            worker.stop()
        self._idle, self._busy = [], []


class _Worker:
    """A process that evaluates one job after the other.

    Attributes:
        job: the present one, or the last one.
        deadline: when it has to be done, by `time.monotonic`; infinite for never.
        alive: whether it can be given another one.
    """

    job: Job
    deadline = math.inf

    def __init__(self, evaluator: Evaluator) -> None:
        # Not fork: a copy of a process whose torch threads hold locks can hang.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, evaluator), daemon=True)
        with _interrupts_held_back():
            self._process.start()
        theirs.close()
        self.alive = True
        self._allowed_s = math.inf
        self._prepared: set[int] = set()

    def start(self, job: Job, allowed_s: float) -> None:
        self.job = job
        self._allowed_s = allowed_s + PREPARATION_S * (job[1] not in self._prepared)
        self.deadline = time.monotonic() + self._allowed_s
        with suppress(BrokenPipeError):  # `result` tells of the death
            self.connection.send(job)

    def result(self) -> Outcome:
        """Return the outcome of the job, which is its end if nothing has come by now."""
        if not self.connection.poll():
            self.stop()
            return TimedOut(f"timed out: no answer within {self._allowed_s:g} s, so it was killed")
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()  # not killed, so that the exit code is its own
            self.stop()
            return WorkerDied(_death(self._process.exitcode))
        self._prepared.add(self.job[1])
        return outcome

    def stop(self) -> None:
        self.alive = False
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
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            connection.send(outcome_elsewhere(evaluator, connection.recv(), "a worker process"))


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
