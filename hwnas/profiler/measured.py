"""Measure a table: time, correct by whole networks, check on held-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.measure import BUSY
from hwnas.profiler.assemble import assemble, evidence
from hwnas.profiler.plan import Plan, make_plan
from hwnas.profiler.recording import open_recording
from hwnas.profiler.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.profiler.clock import Clock
    from hwnas.profiler.timings import Timings
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace


@dataclass(frozen=True, slots=True)
class Profiler:
    """Everything that one measured profile needs."""

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
        stopwatch = Stopwatch(self.profile, self.space, self.clock, self.reporter)
        recording = open_recording(partial, stopwatch.identity(plan), fresh=fresh)
        timings = stopwatch.time_everything(plan, recording)
        warn_if_busy(timings, self.reporter)
        found = evidence(self.space, plan, timings)
        table = assemble(self.profile, self.space, self.clock.place, found)
        if finish is not None:
            table = finish(table)
        recording.discard()
        return table


def warn_if_busy(timings: Timings, reporter: Reporter) -> None:
    """Say that other programs were running, if the spread of the runs shows it."""
    if timings.typical_factor > BUSY:
        reporter.warn(
            f"this machine was busy: a typical run took {timings.typical_factor:.2f} times an "
            "undisturbed one. Close other programs and profile again with --fresh."
        )
