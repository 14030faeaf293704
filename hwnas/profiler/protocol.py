"""Run the protocol: have parts and networks timed in rounds, put every round on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.bundle.manifest import Job
from hwnas.profiler.measured import measured_table
from hwnas.profiler.plan import Plan, make_plan
from hwnas.profiler.recording import identity, open_rounds, rounds_done
from hwnas.profiler.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.profiler.clock import Clock
    from hwnas.profiler.recording import Recording, TimedRound
    from hwnas.progress import Advance, Reporter
    from hwnas.spaces import Arch, RcnetSpace

SETTLED = 0.02
"""Relative half-width of a network's interval from which on it needs no more runs."""
ENOUGH_RUNS = 100
"""A network is not timed more often than this, settled or not."""
EXTRA_SHARE = 0.15
"""Rounds beyond the plan, as a share of it, for networks that have not settled."""


@dataclass(frozen=True, slots=True)
class Profiler:
    """Has the parts and networks of a space timed by a clock."""

    profile: DeviceProfile
    space: RcnetSpace
    clock: Clock
    reporter: Reporter

    def run(
        self,
        partial: Path,
        *,
        fresh: bool = False,
        plan: Plan | None = None,
        finish: Callable[[Table], Table] | None = None,
    ) -> Table:
        """Measure and return the table; `partial` keeps the rounds until it is complete.

        Args:
            partial: JSON lines.
            fresh: do not go on with an interrupted profile.
            plan: what to time.
            finish: what is still to be added to the table (energies); while it fails, the rounds
                are kept.

        Raises:
            UserError: `partial` cannot be written, or the runtime is missing.
        """
        plan = plan or make_plan(self.space)
        recording = open_rounds(partial, self.identity(plan), fresh=fresh)
        timings, place = self.time_everything(plan, recording), self.clock.place
        table = measured_table(self.profile, self.space, plan, timings, place, self.reporter)
        if finish is not None:
            table = finish(table)
        recording.discard()
        return table

    def identity(self, plan: Plan) -> dict[str, Any]:
        """Return what must be equal for a recording to be gone on with."""
        batches = [job.networks for job in plan.jobs(self.space)]
        return identity(self.profile, self.space, self.clock.place, [batches, plan.rounds])

    def time_everything(self, plan: Plan, recording: Recording[TimedRound]) -> Timings:
        """Time what the plan asks for, then what has not settled; return all timings.

        Rounds that the recording already holds are not timed again.
        """
        total, done = len(plan.batches) * plan.rounds, len(recording.entries)
        if done:
            self.reporter.info(f"resuming: {done} of {total} rounds were timed before")
        title = f"timing {self.space.name} on {self.profile.name}"
        missing = self._missing(plan, recording)
        with self.reporter.task(title, total) as step, self.clock.running(missing):
            step(min(done, total))
            for job in missing:
                note = f"batch {job.number + 1} of {len(plan.batches)}"
                self._time(job, recording, step, note)
            return self._settle(plan, recording, step)

    def time_parts(self, rounds: int, partial: Path) -> tuple[Timings, Recording[TimedRound]]:
        """Time every part `rounds` times, and no network but the reference."""
        header = identity(self.profile, self.space, self.clock.place, ["parts", rounds])
        recording = open_rounds(partial, header, fresh=False)
        title = f"timing the parts of {self.space.name} on {self.profile.name}"
        with self.reporter.task(title, rounds) as step, self.clock.running():
            done = rounds_done(recording, 0)
            step(done)
            if done < rounds:
                job = Job(number=0, networks=(), rounds=rounds - done)
                self._time(job, recording, step, "parts")
        return Timings.of(self.space, Plan((), ()), recording.entries), recording

    def _settle(self, plan: Plan, recording: Recording[TimedRound], step: Advance) -> Timings:
        """Add batches of the networks with the widest intervals, within bounds."""
        planned = len(plan.batches) * plan.rounds
        while True:
            timings = Timings.of(self.space, plan, recording.entries)
            wide = unsettled(timings)
            spent = len(recording.entries) - planned
            if not wide or spent >= EXTRA_SHARE * planned:
                return timings
            number = recording.entries[-1][0] + 1
            networks = tuple(map(self.space.format, wide[: plan.batch]))
            job = Job(number=number, networks=networks, rounds=plan.rounds)
            self._time(job, recording, step, f"{len(wide)} networks not settled")

    def _missing(self, plan: Plan, recording: Recording[TimedRound]) -> list[Job]:
        """Return the jobs of a plan with the rounds that are not on record."""
        found = [
            (job, job.rounds - rounds_done(recording, job.number)) for job in plan.jobs(self.space)
        ]
        return [job.model_copy(update={"rounds": left}) for job, left in found if left > 0]

    def _time(self, job: Job, recording: Recording[TimedRound], step: Advance, note: str) -> None:
        for samples in self.clock.rounds(job):
            recording.append((job.number, samples))
            step(1, note)


def unsettled(timings: Timings) -> list[Arch]:
    """Return the networks that more runs would make more certain, the widest intervals first."""
    wide = [
        (-statistic.relative_half_width, arch)
        for arch, statistic in timings.networks.items()
        if statistic.relative_half_width > SETTLED and statistic.samples < ENOUGH_RUNS
    ]
    return [arch for _, arch in sorted(wide, key=lambda each: each[0])]
