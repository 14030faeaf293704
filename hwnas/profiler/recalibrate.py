"""Add a network that was timed later to the timings that correct a table."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.errors import CheckFailed, TableError
from hwnas.lut.table import Timed
from hwnas.profiler.refit import RECALIBRATED, refit

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.spaces import Arch

REFITTED = ("unstable_parts", "correction", "validation")
"""What a new fit changes in meta.json: device, runtime and time of the profile stay true."""


@dataclass(frozen=True, slots=True)
class Later:
    """One network that was timed after the profile.

    Attributes:
        arch: of the table's space.
        measured_ms: its median.
        speed: time of the reference network then over its time in the table; 1.02: the machine
            was 2% slower.
    """

    arch: Arch
    measured_ms: float
    speed: float

    @property
    def table_ms(self) -> float:
        """The time at the speed that the machine had when the table was made."""
        return self.measured_ms / self.speed


@dataclass(frozen=True, slots=True)
class Change:
    """What a network changed; an entry of `recalibrated` in meta.json.

    Attributes:
        arch: as text.
        measured_ms: its median as timed.
        speed: see `Later`.
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

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)


def require_own_timings(table: Table) -> None:
    """Check that a table can be fitted again.

    Raises:
        TableError: it is estimated, fitted to a file, or does not hold what it was made from.
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
    if not table.calibration or "reference" not in table.meta:
        raise TableError(
            f"{name} does not hold the timings of whole networks that it was corrected by "
            f"(calibration.csv), so it cannot be fitted again. Measure it: {table.remedy} --fresh"
        )


def require_not_held_out(table: Table, arch: Arch) -> None:
    """Check that a network is not one of those that check the table.

    Raises:
        TableError: it is.
    """
    if table.space.format(arch) in {network.arch for network in table.held_out}:
        raise TableError(
            f"this network is one of those that check the table of {table.target} for "
            f"{table.space.name}; a table is never corrected by the networks of its own check."
        )


def recalibrated(table: Table, profile: DeviceProfile, later: Later) -> tuple[Table, Change]:
    """Return the table with the network among those that correct it, fitted and checked again.

    The same network added twice replaces its own entry. It counts as one network among those of
    the profile, and less if it does not agree with the others.

    Args:
        table: see `require_own_timings`.
        profile: its target.
        later: a network of the space, not held out.

    Raises:
        TableError: the table cannot be fitted again, or the network is held out.
        CheckFailed: with it, the table would fail a check that it passes without.
    """
    require_own_timings(table)
    require_not_held_out(table, later.arch)
    arch = table.space.format(later.arch)
    others = tuple(network for network in table.calibration if network.arch != arch)
    fitted = refit(table, profile, calibration=(*others, Timed(arch, later.table_ms)))
    failures = fitted.meta["validation"]["failures"]
    if failures and not table.meta["validation"]["failures"]:
        raise CheckFailed(
            f"with this timing the table of {table.target} for {table.space.name} would fail its "
            f"held-out check ({'; '.join(failures)}): it was left as it is."
        )
    change = Change(
        arch=arch,
        measured_ms=later.measured_ms,
        speed=later.speed,
        before_ms=table.latency_ms(later.arch),
        after_ms=fitted.latency_ms(later.arch),
        time=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )
    earlier = [entry for entry in table.meta.get(RECALIBRATED, ()) if entry["arch"] != arch]
    meta = {
        **table.meta,
        **{name: fitted.meta[name] for name in REFITTED},
        RECALIBRATED: [*earlier, change.to_json()],
    }
    return dataclasses.replace(fitted, meta=meta), change
