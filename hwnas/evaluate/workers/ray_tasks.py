"""Evaluations as tasks on a Ray cluster: one processor and one thread each.

Every node needs the same hwnas, and finds data sets at the same paths.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

from hwnas.errors import MissingPackage, UserError
from hwnas.evaluate.workers.job import WorkerDied, outcome_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.evaluate.workers.job import Outcome
    from hwnas.spaces import Job

CONNECT_S = 10.0
"""How long a cluster may take to answer; Ray itself tries for minutes."""
CANCEL_S = 30.0
"""How long tasks may take to end when they are cancelled."""


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect this process to a Ray cluster while the body runs; None does nothing.

    Args:
        address: "HOST:PORT"; "auto" for the cluster of this machine; "local" starts one that ends
            with the body.

    Raises:
        MissingPackage: Ray is not installed.
        UserError: there is no such cluster.
    """
    if address is None:
        yield
        return
    ray = _ray()
    _require_answer(address)
    # Both are Ray's own switches, for a cluster that starts here: it reports its use to nobody,
    # and leaves it to the evaluator which device it trains on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray tells of dead workers on standard output, which is for results.
    with redirect_stdout(sys.stderr):
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error")
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise _no_cluster(address, reason) from None
        try:
            yield
        finally:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingPackage('Ray is missing: pip install "hwnas[ray]"') from None
    return ray


def _require_answer(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from None


def _no_cluster(address: str, reason: str) -> UserError:
    return UserError(
        f"no Ray cluster can be reached at {address} ({reason}). Start one (ray start --head) and "
        "give the address that it tells, or take --ray local."
    )


class RayTasks:
    """Ray tasks, each started anew; this process has to be connected."""

    def __init__(self, evaluator: Evaluator, size: int = 0) -> None:
        """Send the evaluator to the cluster.

        Args:
            evaluator: scores networks.
            size: tasks at a time, 0 for as many as the cluster has processors.
        """
        self._ray = ray = _ray()
        self.size = size or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.parallel = self.size > 1
        self._evaluator = ray.put(evaluator)
        # Who repeats a lost job is decided elsewhere, the same for all workers.
        self._task = ray.remote(num_cpus=1, max_retries=0)(outcome_elsewhere)
        self._jobs: dict[Any, Job] = {}

    def start(self, job: Job) -> None:
        """Submit a task."""
        self._jobs[self._task.remote(self._evaluator, job, "a Ray task")] = job

    def finished(self, *, wait: bool) -> list[tuple[Job, Outcome]]:
        """Return what has ended since the last call, waiting for at least one if asked to."""
        if not self._jobs:
            return []
        pending = list(self._jobs)
        number, timeout = (1, None) if wait else (len(pending), 0)
        ready, _ = self._ray.wait(pending, num_returns=number, timeout=timeout)
        return [(self._jobs.pop(task), self._result(task)) for task in ready]

    def _result(self, task: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(task)
        except errors.RayTaskError as error:
            last = str(error).strip().splitlines()[-1]
            return UserError(
                f"a node of the Ray cluster cannot evaluate ({last}): it needs the same hwnas "
                "and packages as this machine."
            )
        except errors.OutOfMemoryError:
            return WorkerDied("the evaluating Ray task was killed, as memory ran out")
        except errors.RayError as error:
            reason = str(error).strip().split(".")[0]
            return WorkerDied(f"the evaluating Ray task died ({reason})")
        return outcome

    def stop(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        tasks, self._jobs = list(self._jobs), {}
        for task in tasks:
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(task, force=True)
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks), timeout=CANCEL_S)
