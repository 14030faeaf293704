"""Run the protocol: have parts and networks timed in rounds, put every round on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.files import fingerprint
from hwnas.profiler.clock import Batch
from hwnas.profiler.plan import Plan
from hwnas.profiler.timings import Timings

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.profiler.clock import Clock
    from hwnas.profiler.recording import Recording
    from hwnas.progress import Advance, Reporter
    from hwnas.spaces import Arch, RcnetSpace

SETTLED = 0.02
"""Relative half-width of a network's interval from which on it needs no more runs."""
ENOUGH_RUNS = 100
"""A network is not timed more often than this, settled or not."""
EXTRA_SHARE = 0.15
"""Rounds beyond the plan, as a share of it, for networks that have not settled."""


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Has the parts and networks of a space timed by a clock."""

    profile: DeviceProfile
    space: RcnetSpace
    clock: Clock
    reporter: Reporter

    def identity(self, plan: Plan) -> dict[str, Any]:
        """Return what must be equal for a recording to be gone on with."""
        batches = [[self.space.format(arch) for arch in batch] for batch in plan.batches]
        return self._identity([batches, plan.rounds])

    def parts_identity(self, rounds: int) -> dict[str, Any]:
        """Return the same for parts alone."""
        return self._identity(["parts", rounds])

    def _identity(self, plan: Any) -> dict[str, Any]:
        place = self.clock.place
        return {
            "target": self.profile.name,
            "space": self.space.name,
            "threads": self.profile.threads,
            "precision": self.profile.precision,
            "runtime": place.version,
            "host": dict(place.device),
            "plan": fingerprint(plan),
        }

    def time_everything(self, plan: Plan, recording: Recording) -> Timings:
        """Time what the plan asks for, then what has not settled; return all timings.

        Rounds that the recording already holds are not timed again.
        """
        total = len(plan.batches) * plan.rounds
        if recording.rounds:
            self.reporter.info(
                f"resuming: {len(recording.rounds)} of {total} rounds were timed before"
            )
        title = f"timing {self.space.name} on {self.profile.name}"
        with self.reporter.task(title, total) as step, self.clock.running():
            step(min(len(recording.rounds), total))
            missing = missing_batches(plan, recording)
            self.clock.announce(missing)
            for batch in missing:
                note = f"batch {batch.number + 1} of {len(plan.batches)}"
                self._time(batch, recording, step, note)
            return self._settle(plan, recording, step)

    def time_parts(self, rounds: int, recording: Recording) -> Timings:
        """Time every part `rounds` times, and no network but the reference."""
        title = f"timing the parts of {self.space.name} on {self.profile.name}"
        with self.reporter.task(title, rounds) as step, self.clock.running():
            done = recording.done(0)
            step(done)
            if done < rounds:
                self._time(Batch(0, (), rounds - done), recording, step, "parts")
        return Timings.of(self.space, Plan((), ()), recording.rounds)

    def _settle(self, plan: Plan, recording: Recording, step: Advance) -> Timings:
        """Add batches of the networks with the widest intervals, within bounds."""
        planned = len(plan.batches) * plan.rounds
        while True:
            timings = Timings.of(self.space, plan, recording.rounds)
            wide = unsettled(timings)
            spent = len(recording.rounds) - planned
            if not wide or spent >= EXTRA_SHARE * planned:
                return timings
            number = recording.rounds[-1][0] + 1
            batch = Batch(number, tuple(wide[: plan.batch]), plan.rounds)
            self._time(batch, recording, step, f"{len(wide)} networks not settled")

    def _time(self, batch: Batch, recording: Recording, step: Advance, note: str) -> None:
        for samples in self.clock.rounds(batch):
            recording.append(batch.number, samples)
            step(1, note)


def missing_batches(plan: Plan, recording: Recording) -> list[Batch]:
    """Return the batches of a plan with the rounds that are not on record."""
    found = [
        Batch(number, tuple(networks), plan.rounds - recording.done(number))
        for number, networks in enumerate(plan.batches)
    ]
    return [batch for batch in found if batch.rounds > 0]


def unsettled(timings: Timings) -> list[Arch]:
    """Return the networks that more runs would make more certain, the widest intervals first."""
    wide = [
        (-statistic.relative_half_width, arch)
        for arch, statistic in timings.networks.items()
        if statistic.relative_half_width > SETTLED and statistic.samples < ENOUGH_RUNS
    ]
    return [arch for _, arch in sorted(wide, key=lambda each: each[0])]
