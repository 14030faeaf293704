"""Fit a table to times of whole networks, for devices where blocks cannot be timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.lut.accuracy import held_out_check
from hwnas.lut.additive import fit_parts
from hwnas.lut.correction import count_matrix, part_structure
from hwnas.lut.table import HeldOut
from hwnas.lut.timing_files import rounding_error, split
from hwnas.measure import Statistic
from hwnas.profiler.clock import Place
from hwnas.profiler.tables import make_table, provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.lut.timing_files import Timings
    from hwnas.spaces import RcnetSpace


def fit_table(
    profile: DeviceProfile,
    space: RcnetSpace,
    timings: Timings,
    on_step: Callable[[], None] | None = None,
) -> Table:
    """Return the fitted table of a target, checked on networks that the fit did not see.

    Args:
        profile: the target.
        space: of the networks.
        timings: at least as many networks as `read_timings` asks for.
        on_step: called after each iteration of the fit.
    """
    keys, networks = space.lookup_keys(), timings.networks
    counts = count_matrix(keys, [space.parts(network.arch) for network in networks])
    measured = np.array([network.latency_ms for network in networks])
    train, held_out = split(len(networks))
    known = _known_error(timings, measured)
    times = fit_parts(part_structure(space), counts[train], measured[train], known[train], on_step)
    predicted = counts[held_out] @ times.parts_ms
    seen = (counts[train] > 0).sum(axis=0)
    latencies = {
        key: Statistic(float(value), float(low), float(high), int(count))
        for key, value, low, high, count in zip(
            keys, times.parts_ms, *times.interval_ms, seen, strict=True
        )
    }
    checked = tuple(
        HeldOut(space.format(networks[index].arch), float(p), float(measured[index]))
        for index, p in zip(held_out, predicted, strict=True)
    )
    place = Place({"title": profile.title}, "not told by the file of timings")
    meta = {
        **provenance(profile, "fitted", place),
        "statistic": f"column latency_ms of {timings.path.name}",
        "timings": {
            "file": timings.path.name,
            "sha256": timings.digest,
            "networks": len(networks),
            "runs": sum(network.runs for network in networks),
            "step_ms": timings.step_ms,
        },
        "fit": {"networks": len(train), **times.to_json()},
        "unseen_keys": [str(key) for key, count in zip(keys, seen, strict=True) if not count],
        "validation": held_out_check(predicted, measured[held_out]),
    }
    return make_table(profile, space, meta, latencies, held_out=checked)


def _known_error(timings: Timings, measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is known of each time's relative error: its rounding, and what the file says."""
    stated = np.array([network.standard_error_ms for network in timings.networks]) / measured
    return np.hypot(rounding_error(measured, timings.step_ms), stated)
