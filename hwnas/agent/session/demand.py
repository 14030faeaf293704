"""What the profiler asks of the device: the job that is due, the next one, a verified result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.bundle.check import check_job, check_models
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.agent.wire import Delivery
    from hwnas.bundle.manifest import Job, TimedModel
    from hwnas.bundle.results import JobResult

MOST_REFUSALS = 3
"""Wrong results of one job from which on the device is not trusted to give a right one."""


@dataclass(frozen=True, slots=True)
class Work:
    """A job, and the models of its networks by name."""

    job: Job
    models: Mapping[str, TimedModel]


@dataclass(frozen=True, slots=True)
class PowerWork:
    """What runs for a power counter, and the models of the networks in it by name."""

    order: tuple[str, ...]
    models: Mapping[str, TimedModel]


class Demand:
    """At most one job is asked; whoever shares this between threads holds a lock.

    Attributes:
        asked: what the profiler waits for.
        announced: what it is going to ask next.
        verified: the result of what is asked, until the profiler has it on record.
    """

    def __init__(self, panel: Mapping[str, TimedModel]) -> None:
        """Ask nothing yet; `panel` is in every round of every job."""
        self.asked: Work | None = None
        self.announced: Work | None = None
        self.verified: JobResult | None = None
        self._panel = panel
        self._wrong: list[str] = []

    def ask(self, work: Work) -> None:
        """Want the result of a job, and of no other."""
        self.asked, self.verified, self._wrong = work, None, []
        if self.announced is not None and self.announced.job == work.job:
            self.announced = None

    @property
    def next(self) -> Work | None:
        """What a device that has no job is given."""
        return self.asked or self.announced

    def work_of(self, given: Job) -> Work | None:
        """Return the work that a job was given for, if it is asked or announced still."""
        works = (self.asked, self.announced)
        return next((w for w in works if w is not None and fits(given, w.job)), None)

    def take(self, given: Job, delivery: Delivery) -> bool:
        """Take the result of a job; return whether it is asked at all.

        Raises:
            UserError: it is not the result of the job, or other models ran.
        """
        if self.asked is None or not fits(given, self.asked.job):
            return False
        models = {**self._panel, **self.asked.models}
        try:
            check_job(given, self._panel, delivery.result, "the device")
            check_models(models, delivery.models, models, "the device")
            _require_no_more(delivery.models, models)
        except UserError as error:
            self._wrong.append(str(error))
            raise
        self.verified = delivery.result
        return True

    @property
    def hopeless(self) -> bool:
        """Whether the device keeps giving wrong results."""
        return len(self._wrong) >= MOST_REFUSALS

    def result(self) -> JobResult | None:
        """Return the asked rounds, or None as long as they are not there.

        Raises:
            UserError: the device keeps giving wrong results.
        """
        if self.hopeless:
            raise UserError(
                f"the device gave {len(self._wrong)} wrong results of one job, at last: "
                f"{self._wrong[-1]} Restart the harness; if that does not help, its runtime "
                "does not run these models right."
            )
        if self.verified is None or self.asked is None:
            return None
        missing = self.asked.job.rounds
        return self.verified.model_copy(update={"rounds": self.verified.rounds[-missing:]})

    def settle(self) -> JobResult | None:
        """Ask nothing any more; return what was verified."""
        verified, self.asked, self.verified = self.verified, None, None
        return verified


def fits(given: Job, asked: Job) -> bool:
    """Return whether the result of a job holds the rounds that are asked."""
    same = (given.number, given.networks) == (asked.number, asked.networks)
    return same and given.rounds >= asked.rounds


def _require_no_more(given: Mapping[str, object], asked: Mapping[str, object]) -> None:
    if more := set(given) - set(asked):
        raise UserError(f"the device: a model {min(more)!r} was not asked for.")
