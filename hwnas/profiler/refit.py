"""A measured table fitted again: with a network that was timed later, or parts timed anew."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import CheckFailed, TableError
from hwnas.lut.table import Timed
from hwnas.measure import Statistic
from hwnas.profiler.clock import LocalClock
from hwnas.profiler.measured import corrected_table
from hwnas.profiler.protocol import Profiler
from hwnas.profiler.tables import now

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Row, Table
    from hwnas.progress import Reporter
    from hwnas.spaces import Arch, Key
    from hwnas.targets.backend import Backend

ROUNDS = 200
"""Of parts that are timed anew."""

RECALIBRATED = "recalibrated"
"""Key of meta.json: networks that `hwnas bench` added to the correction."""


def refit(
    table: Table,
    profile: DeviceProfile,
    *,
    parts: Mapping[Key, Statistic] | None = None,
    calibration: tuple[Timed, ...] | None = None,
) -> Table:
    """Return the table corrected and checked again; device, runtime and day stay what they are.

    So do its held-out networks, and the power of each part where it was measured.

    Args:
        table: a measured one.
        profile: its target.
        parts: times of the parts alone, or None for those of the table.
        calibration: whole networks that correct the parts, or None for those of the table.
    """
    metered = table.meta["energy_source"] == "measured"
    new = corrected_table(
        profile,
        table.space,
        own_parts(table) if parts is None else parts,
        table.calibration if calibration is None else calibration,
        tuple(network.timed for network in table.held_out),
        table.meta["validation"]["split_half_noise"],
        table.meta if metered else {**table.meta, "energy_source": profile.energy_source},
    )
    if not metered:
        return new
    rows = {}
    for key, row in new.rows.items():
        old = table.rows[key]
        watts = (old.energy_mj or 0.0) / old.latency_ms
        rows[key] = dataclasses.replace(
            row, energy_mj=watts * row.latency_ms, energy_source=old.energy_source
        )
    return dataclasses.replace(new, rows=rows)


def own_parts(table: Table) -> dict[Key, Statistic]:
    """Return the timings of the parts alone, which a table was made from."""

    def raw(row: Row) -> Statistic:
        factor = row.raw_ms / row.latency_ms
        low, high = row.latency_low_ms * factor, row.latency_high_ms * factor
        return Statistic(row.raw_ms, low, high, row.samples)

    return {key: raw(row) for key, row in table.rows.items()}


def replace_unstable(
    table: Table,
    profile: DeviceProfile,
    backend: Backend,
    reporter: Reporter,
    partial: Path,
    *,
    rounds: int = ROUNDS,
) -> Table:
    """Return the table with its unstable parts timed anew, corrected and checked again.

    All parts run, so that the stable ones tell how fast the machine is now; their own entries
    stay. An unstable part is replaced if it has become more certain. The whole networks are those
    that the table was made with.

    Args:
        table: a measured one of this machine, runtime and set-up.
        profile: its target.
        backend: runs it.
        reporter: is shown progress.
        partial: keeps the rounds until all are timed.
        rounds: how often each part runs.

    Raises:
        UserError: `partial` cannot be written.
    """
    clock = LocalClock(table.space, backend, profile.threads)
    timings, recording = Profiler(profile, table.space, clock, reporter).time_parts(rounds, partial)
    timed = timings.parts
    stable = [key for key, row in table.rows.items() if not row.unstable] or list(table.rows)
    speed = float(np.median([timed[key].value / table.rows[key].raw_ms for key in stable]))
    parts = own_parts(table)
    for key, row in table.rows.items():
        again = timed[key].scaled(1 / speed)
        if row.unstable and again.relative_half_width < row.relative_half_width:
            parts[key] = again
    replaced = refit(table, profile, parts=parts)
    recording.discard()
    return dataclasses.replace(replaced, meta={**replaced.meta, "created": now()})


@dataclass(frozen=True, slots=True)
class Change:
    """What a network changed; an entry of `recalibrated` in meta.json.

    Attributes:
        arch: as text.
        measured_ms: its median as timed.
        speed: time of the reference network then over its time in the table; 1.02: the machine
            was 2% slower.
        before_ms: prediction of the table as it was.
        after_ms: prediction of the new one.
        time: when.
    """

    arch: str
    measured_ms: float
    speed: float
    before_ms: float
    after_ms: float
    time: str


def require_refittable(table: Table, arch: Arch) -> None:
    """Check that a table can be fitted again with a network.

    Raises:
        TableError: the table is estimated, fitted to a file, or does not hold what it was made
            from; or the network is one of those that check it.
    """
    name = f"the table of {table.target} for {table.space.name}"
    if table.estimated:
        raise TableError(
            f"{name} is ESTIMATED, so there is nothing measured to add a timing to. Write the time "
            f"as one more [[anchors]] into profiles/{table.target}.toml and build it again: "
            f"{table.remedy}"
        )
    if table.meta["source"] == "fitted":
        raise TableError(
            f"{name} is fitted to a file of timings: add the network to that file and fit again: "
            f"{table.remedy}"
        )
    if not table.calibration:
        raise TableError(
            f"{name} does not hold the timings of whole networks that it was corrected by "
            f"(calibration.csv), so it cannot be fitted again. Measure it: {table.remedy} --fresh"
        )
    if table.space.format(arch) in {network.arch for network in table.held_out}:
        raise TableError(
            f"this network is one of those that check {name}; a table is never corrected by the "
            "networks of its own check."
        )


def recalibrated(
    table: Table, profile: DeviceProfile, arch: Arch, *, measured_ms: float, speed: float
) -> tuple[Table, Change]:
    """Return the table with the network among those that correct it, fitted and checked again.

    The same network added twice replaces its own entry. It counts as one network among those of
    the profile, and less if it does not agree with the others.

    Args:
        table: see `require_refittable`.
        profile: its target.
        arch: a network of the space, not held out.
        measured_ms: its median, timed after the profile.
        speed: see `Change`.

    Raises:
        TableError: the table cannot be fitted again, or the network is held out.
        CheckFailed: with it, the table would fail a check that it passes without.
    """
    require_refittable(table, arch)
    name = table.space.format(arch)
    others = tuple(network for network in table.calibration if network.arch != name)
    added = Timed(name, measured_ms / speed)  # at the speed of the table's day
    fitted = refit(table, profile, calibration=(*others, added))
    failures = fitted.meta["validation"]["failures"]
    if failures and not table.meta["validation"]["failures"]:
        raise CheckFailed(
            f"with this timing the table of {table.target} for {table.space.name} would fail its "
            f"held-out check ({'; '.join(failures)}): it was left as it is."
        )
    change = Change(
        arch=name,
        measured_ms=measured_ms,
        speed=speed,
        before_ms=table.latency_ms(arch),
        after_ms=fitted.latency_ms(arch),
        time=now(),
    )
    earlier = [entry for entry in table.meta.get(RECALIBRATED, ()) if entry["arch"] != name]
    meta = {**fitted.meta, RECALIBRATED: [*earlier, asdict(change)]}
    return dataclasses.replace(fitted, meta=meta), change
