"""From timings to a table: correct the parts by whole networks, check them on held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.lut.accuracy import compare, held_out_check
from hwnas.lut.correction import affine_ms, correct, count_matrix
from hwnas.lut.table import UNSTABLE, HeldOut, Table, Timed
from hwnas.measure import BUSY, Statistic
from hwnas.profiler.tables import make_table, provenance
from hwnas.profiler.timings import QUANTILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.device import DeviceProfile
    from hwnas.profiler.clock import Place
    from hwnas.profiler.plan import Plan
    from hwnas.profiler.timings import Timings
    from hwnas.progress import Reporter
    from hwnas.spaces import Arch, Key, RcnetSpace

STATISTIC = f"{QUANTILE:.0%} quantile of runs, drift removed, times typical_factor"


def measured_table(
    profile: DeviceProfile,
    space: RcnetSpace,
    plan: Plan,
    timings: Timings,
    place: Place,
    reporter: Reporter,
) -> Table:
    """Return the table that the timings of a plan support.

    Args:
        profile: the target.
        space: what was timed.
        plan: which networks correct the parts, and which check the result.
        timings: of all of it.
        place: where.
        reporter: is told when other programs were running.
    """
    if timings.typical_factor > BUSY:
        reporter.warn(
            f"this machine was busy: a typical run took {timings.typical_factor:.2f} times an "
            "undisturbed one. Close other programs and profile again with --fresh."
        )

    def timed(archs: tuple[Arch, ...]) -> tuple[Timed, ...]:
        return tuple(Timed(space.format(a), timings.networks[a].value) for a in archs)

    runs = [statistic.samples for statistic in timings.networks.values()]
    about = {
        **provenance(profile, "measured", place),
        "temperature": place.temperature,
        "statistic": STATISTIC,
        "typical_factor": timings.typical_factor,
        "samples_per_part": min(part.samples for part in timings.parts.values()),
        "samples_per_network": [min(runs), max(runs)],
        "loads_per_network": plan.passes,
        "reference": {"arch": space.format(space.start()), "median_ms": timings.reference_ms},
    }
    noise = timings.split_half_noise(plan.validation)
    networks = timed(plan.calibration), timed(plan.validation)
    return corrected_table(profile, space, timings.parts, *networks, noise, about)


def corrected_table(
    profile: DeviceProfile,
    space: RcnetSpace,
    parts: Mapping[Key, Statistic],
    calibration: tuple[Timed, ...],
    validation: tuple[Timed, ...],
    split_half_noise: float,
    about: Mapping[str, Any],
) -> Table:
    """Return the table of parts that whole networks correct.

    Args:
        profile: the target.
        space: whose parts they are.
        parts: time of each alone.
        calibration: whole networks that correct them.
        validation: whole networks that check the result.
        split_half_noise: of the latter, see `Timings.split_half_noise`.
        about: what else meta.json tells.
    """
    keys = space.lookup_keys()
    raw_ms = np.array([parts[key].value for key in keys])
    known, known_ms = _counted(space, calibration)
    counts, measured_ms = _counted(space, validation)
    correction = correct(space, raw_ms, known, known_ms)
    predicted_ms = correction.predict_ms(counts)
    corrected = {
        key: _moved(parts[key], float(ms))
        for key, ms in zip(keys, correction.corrected_ms, strict=True)
    }
    meta = {
        **about,
        "unstable_parts": sum(part.relative_half_width > UNSTABLE for part in parts.values()),
        "correction": correction.to_json(),
        "validation": {
            **held_out_check(predicted_ms, measured_ms),
            "mape_raw": compare(counts @ raw_ms, measured_ms).mape,
            "mape_affine": compare(counts @ affine_ms(raw_ms, known, known_ms), measured_ms).mape,
            "split_half_noise": split_half_noise,
        },
    }
    return make_table(
        profile,
        space,
        meta,
        corrected,
        raw_ms={key: part.value for key, part in parts.items()},
        held_out=tuple(
            HeldOut(network.arch, float(ms), network.measured_ms)
            for network, ms in zip(validation, predicted_ms, strict=True)
        ),
        calibration=calibration,
    )


def _moved(raw: Statistic, ms: float) -> Statistic:
    """Return a time with an interval as wide, relatively, as before."""
    factor = ms / raw.value
    # Rounding must not push an end of the interval past the value.
    return Statistic(ms, min(ms, raw.low * factor), max(ms, raw.high * factor), raw.samples)


def _counted(
    space: RcnetSpace, networks: tuple[Timed, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how often each network contains each key, and what each network takes."""
    parts = [space.parts(space.parse(network.arch)) for network in networks]
    times_ms = np.array([network.measured_ms for network in networks])
    return count_matrix(space.lookup_keys(), parts), times_ms
