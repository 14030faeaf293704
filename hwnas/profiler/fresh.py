"""Check a table on networks that neither its correction nor its own check has ever seen."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.lut.accuracy import compare
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
) -> tuple[tuple[HeldOut, ...], dict[str, Any]]:
    """Time fresh networks, with known ones as the measure of the machine's speed today.

    Returns the networks, measured at the speed that the machine had when the table was made, and
    the figures of the check: those of `Table.check`, and beside them `speed` (time of the median
    known network now over its time in the table; 1.02: 2% slower), `now` (errors against the times
    as they are now) and `split_half_noise` (see `Timings`). An interrupted check goes on where it
    stopped.

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
    space = table.space
    table.margin(confidence)  # before anything is timed: there may be too few networks for it
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
    checked = tuple(
        HeldOut(space.format(arch), float(p), float(m))
        for arch, p, m in zip(plan.validation, predicted, measured / speed, strict=True)
    )
    recording.discard()
    return checked, {
        **table.check(checked, confidence),
        "split_half_noise": timings.split_half_noise(plan.validation),
        "speed": speed,
        "now": compare(predicted, measured).to_json(),
    }
