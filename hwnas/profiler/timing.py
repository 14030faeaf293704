"""Run the protocol: load parts and networks, time them in rounds, put every round on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.device import describe_host
from hwnas.files import fingerprint
from hwnas.graph import Graph, random_weights
from hwnas.measure import REFERENCE, measure_round, pinned, warm_up
from hwnas.profiler.plan import Plan
from hwnas.profiler.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.device import DeviceProfile
    from hwnas.measure import Timer
    from hwnas.profiler.recording import Recording
    from hwnas.progress import Advance, Reporter
    from hwnas.spaces import Arch, RcnetSpace
    from hwnas.targets.backend import Backend, Session

SETTLED = 0.02
"""Relative half-width of a network's interval from which on it needs no more runs."""
ENOUGH_RUNS = 100
"""A network is not timed more often than this, settled or not."""
EXTRA_SHARE = 0.15
"""Rounds beyond the plan, as a share of it, for networks that have not settled."""


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Times the parts and networks of a space on a runtime of this machine."""

    profile: DeviceProfile
    space: RcnetSpace
    backend: Backend
    reporter: Reporter

    def identity(self, plan: Plan) -> dict[str, Any]:
        """Return what must be equal for a recording to be gone on with."""
        batches = [[self.space.format(arch) for arch in batch] for batch in plan.batches]
        return self._identity([batches, plan.rounds])

    def parts_identity(self, rounds: int) -> dict[str, Any]:
        """Return the same for parts alone."""
        return self._identity(["parts", rounds])

    def _identity(self, plan: Any) -> dict[str, Any]:
        return {
            "target": self.profile.name,
            "space": self.space.name,
            "threads": self.profile.threads,
            "precision": self.profile.precision,
            "runtime": self.backend.version(),
            "host": describe_host(),
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
        with self.reporter.task(title, total) as step, pinned(self.profile.threads):
            step(min(len(recording.rounds), total))
            panel = self._load_panel()
            for number, batch in enumerate(plan.batches):
                missing = plan.rounds - recording.done(number)
                note = f"batch {number + 1} of {len(plan.batches)}"
                self._time_batch(recording, number, batch, missing, panel, step, note)
            return self._settle(plan, recording, panel, step)

    def time_parts(self, rounds: int, recording: Recording) -> Timings:
        """Time every part `rounds` times, and no network but the reference."""
        title = f"timing the parts of {self.space.name} on {self.profile.name}"
        with self.reporter.task(title, rounds) as step, pinned(self.profile.threads):
            done = recording.done(0)
            step(done)
            self._time_batch(recording, 0, [], rounds - done, self._load_panel(), step, "parts")
        return Timings.of(self.space, Plan((), ()), recording.rounds)

    def _load_panel(self) -> dict[str, Timer]:
        panel = {
            str(key): self._load(self.space.part_graph(key)).elapsed_ms
            for key in self.space.lookup_keys()
        }
        panel[REFERENCE] = self._load(self.space.graph(self.space.start())).elapsed_ms
        warm_up(panel.values())
        return panel

    def _settle(
        self, plan: Plan, recording: Recording, panel: dict[str, Timer], step: Advance
    ) -> Timings:
        """Add batches of the networks with the widest intervals, within bounds."""
        planned = len(plan.batches) * plan.rounds
        while True:
            timings = Timings.of(self.space, plan, recording.rounds)
            wide = [
                arch
                for arch, statistic in timings.networks.items()
                if statistic.relative_half_width > SETTLED and statistic.samples < ENOUGH_RUNS
            ]
            spent = len(recording.rounds) - planned
            if not wide or spent >= EXTRA_SHARE * planned:
                return timings
            wide.sort(key=lambda arch: -timings.networks[arch].relative_half_width)
            number = recording.rounds[-1][0] + 1
            note = f"{len(wide)} networks not settled"
            batch = wide[: plan.batch]
            self._time_batch(recording, number, batch, plan.rounds, panel, step, note)

    def _time_batch(
        self,
        recording: Recording,
        number: int,
        batch: Sequence[Arch],
        rounds: int,
        panel: dict[str, Timer],
        step: Advance,
        note: str,
    ) -> None:
        if rounds <= 0:
            return
        timers = {
            self.space.format(arch): self._load(self.space.graph(arch)).elapsed_ms for arch in batch
        }
        warm_up(timers.values())
        rng = np.random.default_rng([number, rounds])
        for _ in range(rounds):
            recording.append(number, measure_round(panel | timers, rng))
            step(1, note)

    def _load(self, graph: Graph) -> Session:
        model = self.backend.emit(graph, random_weights(graph, seed=0))
        return self.backend.load(model, self.profile.threads)
