"""A job, who does such jobs, and what an outcome says of a network."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Protocol, TypeAlias

from hwnas.errors import EvaluationFailed, HwnasError, TimedOut
from hwnas.evaluate.evaluation import Evaluation

if TYPE_CHECKING:
    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.spaces import Job

Outcome: TypeAlias = "Evaluation | Exception"


class Workers(Protocol):
    """They evaluate, each one job at a time, and may die."""

    @property
    def size(self) -> int:
        """How many jobs can be in work."""

    @property
    def parallel(self) -> bool:
        """Whether some may be idle while others are at work."""

    def start(self, job: Job) -> None:
        """Begin a job; there are fewer than `size` in work."""

    def finished(self, *, wait: bool) -> list[tuple[Job, Outcome]]:
        """Return what has ended since the last call, waiting for at least one if asked to."""

    def stop(self) -> None:
        """End all workers and what they have in work; `start` makes new ones."""


class WorkerDied(Exception):  # noqa: N818 - what happened
    """Who evaluated a network ended in the middle of it."""


def outcome_of(evaluator: Evaluator, job: Job) -> Outcome:
    """Evaluate; what may be a verdict on the network is returned, not raised."""
    try:
        return evaluator.evaluate(*job)
    except (HwnasError, MemoryError) as error:
        return error


def outcome_elsewhere(evaluator: Evaluator, job: Job, where: str) -> Outcome:
    """Evaluate in another process than the user's; a bug, to be shown there, is returned too."""
    _use_one_thread()
    try:
        return outcome_of(evaluator, job)
    except Exception:  # noqa: BLE001 - whatever it is
        return RuntimeError(f"in {where}:\n{traceback.format_exc()}")


def _use_one_thread() -> None:
    """Leave the other cores to other workers.

    Networks this small hardly gain from a second thread, while a second worker trains a second
    network.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    # Its threads are counted when it is imported; where it is not, the line above is enough.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


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
    if may_pass(outcome):
        return Evaluation.failure(str(outcome) or "out of memory", may_pass=True)
    raise outcome
