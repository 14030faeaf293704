"""Check a table on networks that neither its correction nor its own check has ever seen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.lut.accuracy import Accuracy, compare
from hwnas.lut.table import HeldOut
from hwnas.profiler.clock import LocalClock
from hwnas.profiler.plan import check_plan
from hwnas.profiler.protocol import Profiler
from hwnas.profiler.recording import open_rounds

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.targets.backend import Backend

PASSES = 3
KNOWN = 24
"""Networks of the table's own check that are timed again: they tell the machine's speed."""


@dataclass(frozen=True, slots=True)
class FreshCheck:
    """What fresh networks say of a table.

    Attributes:
        networks: predicted, and measured at the speed that the machine had when the table was
            made.
        accuracy: of these.
        now: accuracy of the predictions against the times as they are now.
        speed: time of the median known network now over its time in the table; 1.02: 2% slower.
        confidence: of the margin.
        margin: of the table; predicted * (1 + margin) is its upper bound.
        margin_certainty: how surely that covers at least `confidence` of networks.
        split_half_noise: gap between two halves of the loads of a network; half of it is about the
            error that a perfect table would show.
    """

    networks: tuple[HeldOut, ...]
    accuracy: Accuracy
    now: Accuracy
    speed: float
    confidence: float
    margin: float
    margin_certainty: float | None
    split_half_noise: float

    @property
    def coverage(self) -> float:
        """Share of networks within the upper bound."""
        within = [n.measured_ms <= n.predicted_ms * (1 + self.margin) for n in self.networks]
        return float(np.mean(within))

    def to_json(self) -> dict[str, Any]:
        """Return all figures."""
        return {
            **self.accuracy.to_json(),
            "coverage": self.coverage,
            "confidence": self.confidence,
            "margin": self.margin,
            "margin_certainty": self.margin_certainty,
            "split_half_noise": self.split_half_noise,
            "speed": self.speed,
            "now": self.now.to_json(),
            "failures": self.accuracy.gate(),
        }


def check_fresh(
    table: Table,
    profile: DeviceProfile,
    backend: Backend,
    reporter: Reporter,
    partial: Path,
    *,
    networks: int,
    seed: int,
    confidence: float,
) -> FreshCheck:
    """Time fresh networks, with known ones as the measure of the machine's speed today.

    An interrupted check goes on where it stopped.

    Args:
        table: a measured one of this machine.
        profile: its target.
        backend: runs it.
        reporter: is shown progress.
        partial: keeps the rounds until the check is complete.
        networks: how many.
        seed: other seeds, other networks.
        confidence: of the margin that is checked.

    Raises:
        UserError: `partial` cannot be written.
        TableError: too few held-out networks for the confidence.
    """
    space, margin = table.space, table.margin(confidence)
    own = (*table.calibration, *(n.timed for n in table.held_out))
    seen = {space.parse(n.arch): n.measured_ms for n in own}
    known = tuple(space.parse(n.arch) for n in table.held_out[:KNOWN])
    plan = dataclasses.replace(
        check_plan(space, networks, seed, frozenset(seen)), calibration=known, passes=PASSES
    )
    profiler = Profiler(profile, space, LocalClock(space, backend, profile.threads), reporter)
    recording = open_rounds(partial, profiler.identity(plan), fresh=False)
    timings = profiler.time_everything(plan, recording)
    speed = float(np.median(timings.network_ms(known) / [seen[arch] for arch in known]))
    measured = timings.network_ms(plan.validation)
    predicted = np.array([table.latency_ms(arch) for arch in plan.validation])
    checked = FreshCheck(
        networks=tuple(
            HeldOut(space.format(arch), float(p), float(m))
            for arch, p, m in zip(plan.validation, predicted, measured / speed, strict=True)
        ),
        accuracy=compare(predicted, measured / speed),
        now=compare(predicted, measured),
        speed=speed,
        confidence=confidence,
        margin=margin,
        margin_certainty=table.margin_certainty(confidence),
        split_half_noise=timings.split_half_noise(plan.validation),
    )
    recording.discard()
    return checked
