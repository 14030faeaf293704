"""Who is paired, which job is out, what has come back: the state between profiler and device.

The profiler asks one job after the other and may announce the next. A device has at most one job,
under a lease. Its result counts once: it waits, verified, until the profiler has put it on record
and confirms it, and only then is the device told that it may forget it. Whatever is cut in between,
on either side, the device delivers again, and a result whose lease is done is a duplicate.

After a restart the profiler asks only what is not on record. So a lease whose job is no longer
asked is done, and one whose job is asked for fewer rounds than it was given has its first rounds
on record: the last ones are taken.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from hwnas.agent.refusal import Refused
from hwnas.agent.state import Lease, State
from hwnas.agent.verify import verify
from hwnas.agent.wire import Hello, Offer, Welcome
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hwnas.agent.wire import Ask, Delivery
    from hwnas.bundle.schema import Job, JobResult, Protocol, Setup, TimedModel

Progress: TypeAlias = Literal["waiting", "verified", "done"]

RESULT_BYTES, MODEL_BYTES, SAMPLE_BYTES = 64 << 10, 4 << 10, 400
"""Of JSON, with names at their longest and room for white space."""

MOST_REFUSALS = 3
"""Wrong results of one job from which on the device is not trusted to give a right one."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What every device is told at the start; see `wire.Welcome`."""

    setup: Setup
    protocol: Protocol
    suffix: str
    panel: Mapping[str, TimedModel]


@dataclass(frozen=True, slots=True)
class Work:
    """A job, and the models of its networks by name."""

    job: Job
    models: Mapping[str, TimedModel]


class Session:
    """Thread-safe; every change is kept before it is told to anyone.

    Attributes:
        on_change: called after every change, in the thread that made it.
        last_heard: `time.monotonic` of the device's latest message.
    """

    def __init__(self, brief: Brief, state: State, keep: Callable[[State], None]) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.last_heard: float | None = None
        self._brief, self._state, self._keep = brief, state, keep
        self._changed = threading.Condition()
        self._asked: Work | None = None
        self._announced: Work | None = None
        self._verified: JobResult | None = None
        self._wrong: list[str] = []
        self._finished = self._told = False

    # The device's side.

    def pair(self, hello: Hello) -> Welcome:
        """Take a device, or the same one again; what it had in work is not waited for.

        Raises:
            Refused: another device has the session, this one changed, or runs something else.
        """
        with self._changed:
            self._require_fit(hello)
            self.last_heard = time.monotonic()
            state = self._state.but(paired=hello, session=secrets.token_hex(16))
            if state.out is not None and self._verified is None:
                state = state.with_status(state.out, "superseded")
            self._update(state)
            return Welcome(
                session=state.session or "",
                setup=self._brief.setup,
                protocol=self._brief.protocol,
                suffix=self._brief.suffix,
                panel=dict(self._brief.panel),
            )

    def next(self, ask: Ask) -> Offer:
        """Return the job of the device, the same until its result is on record.

        Raises:
            Refused: not the paired device, or another harness of it has begun since.
        """
        with self._changed:
            self._require_device(ask.device_id)
            if ask.session != self._state.session:
                raise Refused(409, "taken-over", "another harness of this device has taken over")
            if self._finished:
                self._told = True
                self._changed.notify_all()
                return Offer(status="done")
            lease = self._state.out or self._new_lease()
            work = None if lease is None else self._work_of(lease)
            if lease is None or work is None or self._verified is not None:
                return Offer(status="wait")
            return Offer(status="job", lease=lease.id, job=lease.job, models=dict(work.models))

    def deliver(self, delivery: Delivery) -> Progress:
        """Take a result; called again with the same one, it tells how far that is.

        Returns:
            "waiting": the profiler has not asked yet; "verified": it is not on record yet; "done".

        Raises:
            Refused: not the paired device, no such lease, or a result that is not right.
        """
        with self._changed:
            self._require_device(delivery.device_id)
            lease = self._lease(delivery.lease)
            if lease.status == "done":
                return "done"
            if self._verified is not None:
                return "verified"
            if self._asked is None or not _fits(lease.job, self._asked.job):
                return "waiting"
            self._verify(lease, self._asked, delivery)
            self._verified = delivery.result
            self._notify()
            return "verified"

    @property
    def largest_result(self) -> int:
        """Bytes that the JSON of a result may have, generously: of the job that is out."""
        with self._changed:
            out = self._state.out
            networks, rounds = (0, 0) if out is None else (len(out.job.networks), out.job.rounds)
        models = len(self._brief.panel) + networks
        return RESULT_BYTES + models * (MODEL_BYTES + rounds * SAMPLE_BYTES)

    # The profiler's side.

    @property
    def state(self) -> State:
        """What is kept."""
        return self._state

    def wait_for_device(self, timeout_s: float) -> Hello | None:
        """Return the paired device, or None if there is none in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.paired is not None, timeout_s)
            return self._state.paired

    def announce(self, work: Work) -> None:
        """Let the device have a job as soon as it has none; it must be the next one asked."""
        with self._changed:
            self._announced = work
            self._notify()

    def ask(self, work: Work) -> None:
        """Want the result of a job; a lease of another job is not needed any more."""
        with self._changed:
            self._asked, self._verified, self._wrong = work, None, []
            if self._announced is not None and self._announced.job == work.job:
                self._announced = None
            out = self._state.out
            if out is not None and not _fits(out.job, work.job):
                self._update(self._state.with_status(out, "done"))
            self._notify()

    def collect(self, timeout_s: float) -> JobResult | None:
        """Return the asked rounds, verified, or None if they are not there in time.

        Raises:
            UserError: the device keeps giving wrong results.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._verified or self._hopeless, timeout_s)
            if self._hopeless:
                raise UserError(
                    f"the device gave {len(self._wrong)} wrong results of one job: "
                    f"{self._wrong[-1]}. Restart the harness; if that does not help, its runtime "
                    "does not run these models right."
                )
            if self._verified is None or self._asked is None:
                return None
            missing = self._asked.job.rounds
            return self._verified.model_copy(update={"rounds": self._verified.rounds[-missing:]})

    def confirm(self) -> None:
        """Say that the collected result is on record: the device may forget it."""
        with self._changed:
            self._asked = self._verified = None
            if self._state.out is not None:
                self._update(self._state.with_status(self._state.out, "done"))

    def finish(self) -> None:
        """Tell the device, from now on, that nothing is left to do."""
        with self._changed:
            self._finished = True
            if self._state.out is not None:
                self._update(self._state.with_status(self._state.out, "done"))
            self._notify()

    def wait_until_told(self, timeout_s: float) -> bool:
        """Return whether the device has heard that nothing is left to do."""
        with self._changed:
            return self._changed.wait_for(lambda: self._told, timeout_s)

    # What both rest on; called with the lock held.

    @property
    def _hopeless(self) -> bool:
        return len(self._wrong) >= MOST_REFUSALS

    def _update(self, state: State) -> None:
        self._keep(state)
        self._state = state
        self._notify()

    def _notify(self) -> None:
        self._changed.notify_all()
        self.on_change()

    def _new_lease(self) -> Lease | None:
        work = self._asked or self._announced
        if work is None:
            return None
        lease = Lease(id=secrets.token_hex(16), job=work.job, status="out")
        self._update(self._state.but(leases=(*self._state.leases, lease)))
        return lease

    def _work_of(self, lease: Lease) -> Work | None:
        works = (self._asked, self._announced)
        return next((w for w in works if w is not None and _fits(lease.job, w.job)), None)

    def _lease(self, lease_id: str) -> Lease:
        found = next((lease for lease in self._state.leases if lease.id == lease_id), None)
        if found is None:
            raise Refused(409, "unknown-lease", "no job was given under this lease")
        if found.status == "superseded":
            raise Refused(409, "superseded", "the device has started anew since it had this job")
        return found

    def _verify(self, lease: Lease, work: Work, delivery: Delivery) -> None:
        models = {**self._brief.panel, **work.models}
        try:
            verify(lease.job, models, delivery.result, delivery.models)
        except Refused as refused:
            self._wrong.append(refused.reason)
            self._notify()
            raise

    def _require_device(self, device_id: str) -> None:
        paired = self._state.paired
        if paired is None:
            raise Refused(409, "not-paired", "no device is paired: POST /v1/session first")
        if paired.device_id != device_id:
            raise Refused(409, "another-device", f"this profile is of {paired.device.model}")
        self.last_heard = time.monotonic()

    def _require_fit(self, hello: Hello) -> None:
        wanted, paired = self._brief.setup.runtime, self._state.paired
        if hello.runtime.name != wanted:
            raise Refused(
                409, "runtime", f"this profile is of {wanted}, the device has {hello.runtime.name}"
            )
        if paired is None:
            return
        if paired.device_id != hello.device_id:
            raise Refused(
                409,
                "another-device",
                f"this profile is of {paired.device.model}, and one device serves a profile",
            )
        if changed := _difference(paired, hello):
            raise Refused(409, "changed", f"{changed}: profile it again with --fresh")


def _fits(given: Job, asked: Job) -> bool:
    """Return whether the result of a job holds the rounds that are asked."""
    same = (given.number, given.networks) == (asked.number, asked.networks)
    return same and given.rounds >= asked.rounds


def _difference(before: Hello, now: Hello) -> str | None:
    """Return what changed about a device, if anything that its times depend on did."""
    old = {**before.device.model_dump(), **before.runtime.model_dump()}
    new = {**now.device.model_dump(), **now.runtime.model_dump()}
    changed = (key for key, value in old.items() if new[key] != value)
    return next((f"{key} was {old[key]!r} and is {new[key]!r}" for key in changed), None)
