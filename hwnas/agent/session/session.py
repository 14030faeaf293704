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
from typing import TYPE_CHECKING, Literal, TypeAlias

from hwnas.agent.session.demand import Demand, fits
from hwnas.agent.session.pairing import require_fit, require_paired
from hwnas.agent.session.state import Lease, State
from hwnas.agent.wire import Offer, Refused, Wanted, Welcome, one_line
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.agent.session.demand import PowerWork, Work
    from hwnas.agent.wire import Ask, Brief, Delivery, Hello, PowerDelivery, Speaker, Trouble
    from hwnas.bundle.results import JobResult

Progress: TypeAlias = Literal["waiting", "verified", "done"]

RESULT_BYTES, MODEL_BYTES, SAMPLE_BYTES = 64 << 10, 4 << 10, 400
"""Of JSON, with names at their longest and room for white space."""


class Session:
    """Thread-safe; every change is kept before it is told to anyone.

    Attributes:
        on_change: called after every change, in the thread that made it.
        on_trouble: called with what a device says when it has to stop.
        last_heard: `time.monotonic` of the device's latest message.
    """

    def __init__(self, brief: Brief, state: State, keep: Callable[[State], None]) -> None:
        """Go on with a state.

        Args:
            brief: what the device is told.
            state: as an earlier host left it, or new.
            keep: called with every new state before it counts.
        """
        self.on_change: Callable[[], None] = lambda: None
        self.on_trouble: Callable[[str], None] = lambda _reason: None
        self.last_heard: float | None = None
        self._brief, self._state, self._keep = brief, state, keep
        self._changed = threading.Condition()
        self._demand = Demand(brief.panel)
        self._power: PowerWork | None = None
        self._finished = self._told = False

    # The device's side.

    def wanted(self) -> Wanted:
        """Return what a device has to have."""
        return Wanted(setup=self._brief.setup)

    def pair(self, hello: Hello) -> Welcome:
        """Take a device, or the same one again; what it had in work is not waited for.

        Raises:
            Refused: another device has the session, this one changed, or runs something else.
        """
        with self._changed:
            require_fit(hello, self._brief.setup.runtime, self._state.paired)
            self.last_heard = time.monotonic()
            session = secrets.token_hex(16)
            state = self._state.but(paired=hello, session=session)
            if state.out is not None and self._demand.verified is None:
                state = state.with_status(state.out, "superseded")
            self._update(state)
            return Welcome(session=session, **dict(self._brief))

    def next(self, ask: Ask) -> Offer:
        """Return what the device does next, the same until its result is on record.

        Raises:
            Refused: not the paired device, or another harness of it has begun since.
        """
        with self._changed:
            self._require_latest(ask)
            if self._finished:
                self._told = True
                self._notify()
                return Offer(status="done")
            if self._power is not None and not self._state.power_known:
                order, models = self._power.order, dict(self._power.models)
                return Offer(status="power", order=order, models=models)
            lease = self._state.out or self._new_lease()
            work = None if lease is None else self._demand.work_of(lease.job)
            if lease is None or work is None or self._demand.verified is not None:
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
            if self._demand.verified is not None:
                return "verified"
            try:
                is_asked = self._demand.take(lease.job, delivery)
            except UserError as error:
                self._notify()
                raise Refused(422, "wrong-result", str(error)) from None
            if not is_asked:
                return "waiting"
            self._notify()
            return "verified"

    def deliver_power(self, delivery: PowerDelivery) -> bool:
        """Take the power of models; return whether it was not known before.

        Raises:
            Refused: not the paired device, not asked for, or not in the order that was.
        """
        with self._changed:
            self._require_latest(delivery)
            if self._state.power_known:
                return False
            power = delivery.power
            if self._power is None:
                raise Refused(503, "busy", "power is not asked for yet: deliver again")
            if power is not None and tuple(b.name for b in power.blocks) != self._power.order:
                raise Refused(422, "wrong-result", "the blocks are not those that were asked for")
            self._update(self._state.but(power=power, power_known=True))
            return True

    def trouble(self, told: Trouble) -> None:
        """Pass on why the device has to stop.

        Raises:
            Refused: not the paired device, or another harness of it has begun since.
        """
        with self._changed:
            self._require_latest(told)
        self.on_trouble(one_line(told.reason))

    @property
    def largest_result(self) -> int:
        """Bytes that the JSON of a result may have, generously: of the largest job given."""
        with self._changed:
            given = [lease.job for lease in self._state.leases]
        models = len(self._brief.panel) + max((len(job.networks) for job in given), default=0)
        rounds = max((job.rounds for job in given), default=0)
        return RESULT_BYTES + models * (MODEL_BYTES + rounds * SAMPLE_BYTES)

    @property
    def largest_power(self) -> int:
        """Bytes that the JSON of a power delivery may have."""
        with self._changed:
            blocks = 0 if self._power is None else len(self._power.order)
        return RESULT_BYTES + blocks * SAMPLE_BYTES

    # The profiler's side.

    @property
    def state(self) -> State:
        """What is kept."""
        return self._state

    def wait_for(self, condition: Callable[[State], bool], timeout_s: float) -> bool:
        """Return whether the state fulfils a condition, at once or in time."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._state), timeout_s)

    def begin_anew(self) -> None:
        """Forget what was done; a job that is out may still come."""
        with self._changed:
            out = () if self._state.out is None else (self._state.out,)
            self._update(self._state.but(leases=out, power=None, power_known=False))

    def announce(self, work: Work) -> None:
        """Let the device have a job as soon as it has none; it must be the next one asked."""
        with self._changed:
            self._demand.announced = work
            self._notify()

    def ask(self, work: Work) -> None:
        """Want the result of a job; a lease of another job is not needed any more."""
        with self._changed:
            self._demand.ask(work)
            out = self._state.out
            if out is not None and not fits(out.job, work.job):
                self._update(self._state.with_status(out, "done"))
            self._notify()

    def collect(self, timeout_s: float) -> JobResult | None:
        """Return the asked rounds, verified, or None if they are not there in time.

        Raises:
            UserError: the device keeps giving wrong results.
        """
        with self._changed:
            demand = self._demand
            self._changed.wait_for(lambda: demand.verified or demand.hopeless, timeout_s)
            return demand.result()

    def confirm(self) -> None:
        """Say that the collected result is on record: the device may forget it."""
        with self._changed:
            verified, out = self._demand.settle(), self._state.out
            if verified is not None and out is not None:
                how = (verified.before, verified.after)
                self._update(self._state.with_status(out, "done", how))

    def ask_power(self, work: PowerWork) -> None:
        """Want the power of models; to be asked when all jobs are confirmed."""
        with self._changed:
            self._power = work
            self._notify()

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

    def _update(self, state: State) -> None:
        self._keep(state)
        self._state = state
        self._notify()

    def _notify(self) -> None:
        self._changed.notify_all()
        self.on_change()

    def _new_lease(self) -> Lease | None:
        work = self._demand.next
        if work is None:
            return None
        lease = Lease(id=secrets.token_hex(16), job=work.job, status="out")
        self._update(self._state.but(leases=(*self._state.leases, lease)))
        return lease

    def _lease(self, lease_id: str) -> Lease:
        found = next((lease for lease in self._state.leases if lease.id == lease_id), None)
        if found is None:
            raise Refused(409, "unknown-lease", "no job was given under this lease")
        if found.status == "superseded":
            raise Refused(409, "superseded", "the device has started anew since it had this job")
        return found

    def _require_device(self, device_id: str) -> None:
        require_paired(device_id, self._state.paired)
        self.last_heard = time.monotonic()

    def _require_latest(self, speaker: Speaker) -> None:
        self._require_device(speaker.device_id)
        if speaker.session != self._state.session:
            raise Refused(409, "taken-over", "another harness of this device has taken over")
