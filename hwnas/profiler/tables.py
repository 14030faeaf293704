"""What every table has, however its latencies were found: exact counts, energies, provenance."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from hwnas import __version__
from hwnas.graph import find_precision
from hwnas.lut.table import HeldOut, Row, Table, Timed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.device import DeviceProfile
    from hwnas.measure import Statistic
    from hwnas.profiler.clock import Place
    from hwnas.spaces import Key, RcnetSpace


def make_table(
    profile: DeviceProfile,
    space: RcnetSpace,
    meta: Mapping[str, Any],
    latencies: Mapping[Key, Statistic],
    *,
    raw_ms: Mapping[Key, float] | None = None,
    held_out: tuple[HeldOut, ...] = (),
    calibration: tuple[Timed, ...] = (),
) -> Table:
    """Return a table with exact counts, and energies from the profile's watts if it has any.

    Args:
        profile: the target.
        space: whose keys it holds.
        meta: see `provenance`, and whatever else is known.
        latencies: time of each part with its 95% interval, and the runs or networks behind it.
        raw_ms: times before any correction, or None: there was none.
        held_out: networks of its check.
        calibration: networks of its correction.
    """
    precision, rows = find_precision(profile.precision), {}
    for key, latency in latencies.items():
        graph = space.part_graph(key)
        rows[key] = Row(
            params=graph.params,
            madds=graph.madds,
            latency_ms=latency.value,
            latency_low_ms=latency.low,
            latency_high_ms=latency.high,
            raw_ms=latency.value if raw_ms is None else raw_ms[key],
            energy_mj=profile.energy_mj(latency.value),
            peak_bytes=graph.live_bytes(precision),
            weight_bytes=graph.stored_bytes(precision),
            samples=latency.samples,
            source=meta["source"],
            energy_source=profile.energy_source,
        )
    return Table(profile.name, space, rows, meta, held_out, calibration)


def provenance(profile: DeviceProfile, source: str, place: Place) -> dict[str, Any]:
    """Return what the meta.json of every table tells.

    Args:
        profile: the target.
        source: of the latencies: "measured", "estimated" or "fitted".
        place: where they come from.
    """
    units = {} if profile.compute_units is None else {"compute_units": profile.compute_units}
    return {
        "source": source,
        "created": now(),
        "hwnas": __version__,
        "device": dict(place.device),
        "runtime": {"name": profile.runtime, "version": place.version},
        "precision": profile.precision,
        "threads": profile.threads,
        **units,
        "energy_source": profile.energy_source,
    }


def now() -> str:
    """Return the time as tables tell it: UTC, ISO 8601."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
