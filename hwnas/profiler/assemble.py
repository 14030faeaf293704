"""From timings to a table: correct the parts by whole networks, check them on held-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.lut.accuracy import compare, held_out_check
from hwnas.lut.correction import affine_ms, correct, count_matrix
from hwnas.lut.table import HeldOut, Table, Timed
from hwnas.profiler.entries import make_row, provenance
from hwnas.profiler.timings import QUANTILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Row
    from hwnas.measure import Statistic
    from hwnas.profiler.clock import Place
    from hwnas.profiler.plan import Plan
    from hwnas.profiler.timings import Timings
    from hwnas.spaces import Key, RcnetSpace

STATISTIC = f"{QUANTILE:.0%} quantile of runs, drift removed, times typical_factor"

FACTS = (
    "statistic",
    "typical_factor",
    "samples_per_part",
    "samples_per_network",
    "loads_per_network",
    "reference",
)
"""What meta.json tells of the measurement itself."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a measured table is made of.

    Attributes:
        parts: time of every part alone.
        calibration: whole networks that correct them.
        validation: whole networks that check the result.
        facts: about the measurement, for meta.json.
        split_half_noise: of the held-out networks, see `Timings.split_half_noise`.
    """

    parts: Mapping[Key, Statistic]
    calibration: tuple[Timed, ...]
    validation: tuple[Timed, ...]
    facts: Mapping[str, Any]
    split_half_noise: float


def evidence(space: RcnetSpace, plan: Plan, timings: Timings) -> Evidence:
    """Return what the timings of a plan say."""

    def timed(archs: tuple[tuple[int, ...], ...]) -> tuple[Timed, ...]:
        return tuple(Timed(space.format(a), timings.networks[a].value) for a in archs)

    runs = [statistic.samples for statistic in timings.networks.values()]
    return Evidence(
        parts=timings.parts,
        calibration=timed(plan.calibration),
        validation=timed(plan.validation),
        facts={
            "statistic": STATISTIC,
            "typical_factor": timings.typical_factor,
            "samples_per_part": min(part.samples for part in timings.parts.values()),
            "samples_per_network": [min(runs), max(runs)],
            "loads_per_network": plan.passes,
            "reference": {
                "arch": space.format(space.start()),
                "median_ms": timings.reference_ms,
            },
        },
        split_half_noise=timings.split_half_noise(plan.validation),
    )


def assemble(profile: DeviceProfile, space: RcnetSpace, place: Place, found: Evidence) -> Table:
    """Return the table that the evidence supports.

    Args:
        profile: the target.
        space: what was timed.
        place: where.
        found: the timings.
    """
    keys = space.lookup_keys()
    raw_ms = np.array([found.parts[key].value for key in keys])
    known, known_ms = _counted(space, found.calibration)
    counts, measured_ms = _counted(space, found.validation)
    correction = correct(space, raw_ms, known, known_ms)
    predicted_ms = correction.predict_ms(counts)
    rows = {
        key: _row(profile, space, key, found.parts[key], float(corrected_ms))
        for key, corrected_ms in zip(keys, correction.corrected_ms, strict=True)
    }
    held_out = tuple(
        HeldOut(network.arch, float(ms), network.measured_ms)
        for network, ms in zip(found.validation, predicted_ms, strict=True)
    )
    meta = {
        **provenance(profile, "measured", device=place.device, version=place.version),
        "temperature": place.temperature,
        **found.facts,
        "unstable_parts": sum(row.unstable for row in rows.values()),
        "correction": correction.to_json(),
        "validation": {
            **held_out_check(predicted_ms, measured_ms),
            "mape_raw": compare(counts @ raw_ms, measured_ms).mape,
            "mape_affine": compare(counts @ affine_ms(raw_ms, known, known_ms), measured_ms).mape,
            "split_half_noise": found.split_half_noise,
        },
    }
    return Table(profile.name, space, rows, meta, held_out, found.calibration)


def _counted(
    space: RcnetSpace, networks: tuple[Timed, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how often each network contains each key, and what each network takes."""
    parts = [space.parts(space.parse(network.arch)) for network in networks]
    times_ms = np.array([network.measured_ms for network in networks])
    return count_matrix(space.lookup_keys(), parts), times_ms


def _row(
    profile: DeviceProfile, space: RcnetSpace, key: Key, raw: Statistic, corrected_ms: float
) -> Row:
    factor = corrected_ms / raw.value
    # Rounding must not push an end of the interval past the value.
    low, high = min(corrected_ms, raw.low * factor), max(corrected_ms, raw.high * factor)
    return make_row(
        profile,
        space.part_graph(key),
        (corrected_ms, low, high),
        raw_ms=raw.value,
        samples=raw.samples,
        source="measured",
    )
