"""A row of a table whose parts were not timed themselves: estimated or fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.graph import find_precision
from hwnas.lut.table import Row

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.graph import Graph


def unmeasured_row(
    profile: DeviceProfile,
    graph: Graph,
    latency_ms: tuple[float, float, float],
    *,
    samples: int,
    source: str,
) -> Row:
    """Return a row with exact counts and energy from the profile's watts, if it has any.

    Args:
        profile: the target.
        graph: of the part.
        latency_ms: value, lower and upper end of its 95% interval.
        samples: timed networks that contain the part.
        source: "estimated" or "fitted".
    """
    value, low, high = latency_ms
    precision = find_precision(profile.precision)
    return Row(
        params=graph.params,
        madds=graph.madds,
        latency_ms=value,
        latency_low_ms=low,
        latency_high_ms=high,
        raw_ms=value,
        energy_mj=None if profile.watts is None else profile.watts * value,
        peak_bytes=graph.live_bytes(precision),
        weight_bytes=graph.stored_bytes(precision),
        samples=samples,
        source=source,
        energy_source="unknown" if profile.watts is None else "estimated",
    )
