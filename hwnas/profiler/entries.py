"""What every table has, however its latencies were found: exact counts, energies, provenance."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from hwnas import __version__
from hwnas.graph import find_precision
from hwnas.lut.table import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.device import DeviceProfile
    from hwnas.graph import Graph


def make_row(
    profile: DeviceProfile,
    graph: Graph,
    latency_ms: tuple[float, float, float],
    *,
    raw_ms: float,
    samples: int,
    source: str,
) -> Row:
    """Return a row with exact counts, and energy from the profile's watts if it has any.

    Args:
        profile: the target.
        graph: of the part.
        latency_ms: value, lower and upper end of its 95% interval.
        raw_ms: the value before any correction.
        samples: timed runs or networks behind it.
        source: "measured", "estimated" or "fitted".
    """
    value, low, high = latency_ms
    precision = find_precision(profile.precision)
    return Row(
        params=graph.params,
        madds=graph.madds,
        latency_ms=value,
        latency_low_ms=low,
        latency_high_ms=high,
        raw_ms=raw_ms,
        energy_mj=profile.energy_mj(value),
        peak_bytes=graph.live_bytes(precision),
        weight_bytes=graph.stored_bytes(precision),
        samples=samples,
        source=source,
        energy_source=profile.energy_source,
    )


def provenance(
    profile: DeviceProfile, source: str, *, device: Mapping[str, str], version: str
) -> dict[str, Any]:
    """Return what the meta.json of every table tells.

    Args:
        profile: the target.
        source: of the latencies.
        device: what identifies the machine or the device.
        version: of the runtime.
    """
    units = {} if profile.compute_units is None else {"compute_units": profile.compute_units}
    return {
        "source": source,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "hwnas": __version__,
        "device": dict(device),
        "runtime": {"name": profile.runtime, "version": version},
        "precision": profile.precision,
        "threads": profile.threads,
        **units,
        "energy_source": profile.energy_source,
    }
