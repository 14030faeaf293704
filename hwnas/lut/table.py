"""The table itself: one row per key, and where the numbers came from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import TableError
from hwnas.lut.accuracy import compare, conformal_margin, margin_certainty
from hwnas.lut.curve import Curve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.spaces import Arch, Key, RcnetSpace

SOURCES = ("measured", "estimated", "fitted")
ENERGY_SOURCES = ("measured", "estimated", "unknown")

UNSTABLE = 0.05
"""Relative half-width of an interval above which a part is called unstable."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one part costs.

    Attributes:
        latency_ms: time that the part adds to a network.
        latency_low_ms: lower end of the 95% interval of its timing.
        latency_high_ms: upper end.
        raw_ms: time of the part alone, before correction (for an estimate, the estimate).
        energy_mj: energy that the part adds (mean power while it runs times its latency, idle
            power not subtracted), or None when unknown.
        peak_bytes: largest live activations inside the part, in the table's precision.
        weight_bytes: weights with batch norm folded, in the table's precision.
        samples: timed runs (0 for an estimate).
        source: "measured", "estimated" or "fitted".
        energy_source: "measured" by a power counter, "estimated" from assumed watts, or "unknown".
    """

    params: int
    madds: int
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float
    raw_ms: float
    energy_mj: float | None
    peak_bytes: int
    weight_bytes: int
    samples: int
    source: str
    energy_source: str = "unknown"

    def __post_init__(self) -> None:
        _require_times(self.latency_ms, self.latency_low_ms, self.latency_high_ms, self.raw_ms)
        if not self.latency_low_ms <= self.latency_ms <= self.latency_high_ms:
            raise ValueError(
                "latency_low_ms <= latency_ms <= latency_high_ms must hold, but got "
                f"{self.latency_low_ms}, {self.latency_ms}, {self.latency_high_ms}"
            )
        if self.energy_mj is not None and not (
            math.isfinite(self.energy_mj) and self.energy_mj > 0
        ):
            raise ValueError(f"energy_mj must be above zero or empty, but got {self.energy_mj}")
        if min(self.params, self.madds, self.peak_bytes, self.weight_bytes, self.samples) < 0:
            raise ValueError("counts must not be negative")
        if self.source not in SOURCES:
            raise ValueError(f"source must be one of {SOURCES}, but got {self.source!r}")
        if self.energy_source not in ENERGY_SOURCES:
            raise ValueError(
                f"energy_source must be one of {ENERGY_SOURCES}, but got {self.energy_source!r}"
            )
        if (self.energy_mj is None) != (self.energy_source == "unknown"):
            raise ValueError(
                "energy_mj must be empty if and only if energy_source is unknown, but got "
                f"{self.energy_mj} and {self.energy_source}"
            )

    @property
    def relative_half_width(self) -> float:
        """Half the interval of the latency over the latency."""
        return (self.latency_high_ms - self.latency_low_ms) / 2 / self.latency_ms

    @property
    def unstable(self) -> bool:
        """Whether its timing is too uncertain to be relied on."""
        return self.source == "measured" and self.relative_half_width > UNSTABLE


@dataclass(frozen=True, slots=True)
class Timed:
    """One whole network that the table was corrected by."""

    arch: str
    measured_ms: float

    def __post_init__(self) -> None:
        _require_times(self.measured_ms)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One whole network of the check, never used to make the table."""

    arch: str
    predicted_ms: float
    measured_ms: float

    def __post_init__(self) -> None:
        _require_times(self.predicted_ms, self.measured_ms)

    @property
    def timed(self) -> Timed:
        """The measurement alone."""
        return Timed(self.arch, self.measured_ms)


def _require_times(*times_ms: float) -> None:
    if not all(math.isfinite(ms) and ms > 0 for ms in times_ms):
        raise ValueError(f"times must be finite and above zero, but got {times_ms}")


@dataclass(frozen=True)
class Table:
    """A lookup table of one space on one target.

    Attributes:
        target: name of the target.
        space: the space whose keys it holds, all of them.
        rows: the costs.
        meta: provenance; see `meta.json` of any table.
        held_out: networks of the validation, empty for an estimate.
        calibration: networks of the correction, empty for an estimate.
    """

    target: str
    space: RcnetSpace
    rows: Mapping[Key, Row]
    meta: Mapping[str, Any]
    held_out: tuple[HeldOut, ...] = field(default=())
    calibration: tuple[Timed, ...] = field(default=())

    def __post_init__(self) -> None:
        missing = [key for key in self.space.lookup_keys() if key not in self.rows]
        if missing:
            raise TableError(
                f"the table of {self.target} for {self.space.name} has no row for {missing[0]} "
                f"({len(missing)} of {len(self.space.lookup_keys())} keys are missing). "
                f"Measure it: {self.remedy}"
            )

    @property
    def remedy(self) -> str:
        """The command that makes this table anew."""
        if self.meta["source"] == "fitted":
            return fit_command(self.target, self.space.name)
        return profile_command(self.target, self.space.name)

    @property
    def estimated(self) -> bool:
        """True when no device was measured."""
        return bool(self.meta["source"] == "estimated")

    @property
    def label(self) -> str:
        """How the latencies are to be read: "measured" or "ESTIMATED"."""
        return "ESTIMATED" if self.estimated else str(self.meta["source"])

    def latency_ms(self, arch: Arch) -> float:
        """Return the predicted latency of a whole network."""
        sum_ms = sum(self.rows[key].latency_ms for key in self.space.parts(arch))
        return sum_ms if self.curve is None else self.curve.time_ms(sum_ms)

    @cached_property
    def curve(self) -> Curve | None:
        """From the sum of the rows to a network's time; None: they are equal."""
        return curve_of(self.meta)

    def margin(self, confidence: float) -> float:
        """Return m so that predicted * (1 + m) is an upper bound at this confidence.

        From the held-out networks for a measured table, from the stated uncertainty for an
        estimated one.

        Raises:
            TableError: too few held-out networks for so high a confidence.
        """
        if self.estimated:
            from scipy import stats

            normal = stats.norm.ppf(confidence) / stats.norm.ppf(0.975)
            return max(0.0, float(self.meta["uncertainty_95pct"] * normal))
        margin = conformal_margin(
            [h.predicted_ms for h in self.held_out],
            [h.measured_ms for h in self.held_out],
            confidence,
        )
        if math.isinf(margin):
            raise TableError(
                f"{len(self.held_out)} held-out networks cannot support a confidence of "
                f"{confidence:g}: ask for less."
            )
        return margin

    def check(self, networks: Sequence[HeldOut], confidence: float) -> dict[str, Any]:
        """Return how the table predicts networks that it was not made from, as JSON.

        Beside the errors: the margin, and the share of networks within that upper bound.

        Raises:
            TableError: too few held-out networks for so high a confidence.
        """
        predicted = np.array([network.predicted_ms for network in networks])
        measured = np.array([network.measured_ms for network in networks])
        accuracy, margin = compare(predicted, measured), self.margin(confidence)
        return {
            **accuracy.to_json(),
            "coverage": float(np.mean(measured <= predicted * (1 + margin))),
            "confidence": confidence,
            "margin": margin,
            "margin_certainty": self.margin_certainty(confidence),
            "failures": accuracy.gate(),
        }

    def margin_certainty(self, confidence: float) -> float | None:
        """Return how surely the margin covers that share of networks; None for an estimate."""
        return None if self.estimated else margin_certainty(len(self.held_out), confidence)


def curve_of(meta: Mapping[str, Any]) -> Curve | None:
    """Return the curve of a table's meta.json; only corrected tables have one.

    Raises:
        TypeError: a field too many or too few.
        ValueError: not a monotone, finite curve.
    """
    values = meta.get("correction", {}).get("curve")
    return None if values is None else Curve(**values)


def profile_command(target: str, space: str) -> str:
    """Return the command that builds a table."""
    return f"hwnas profile --target {target} --space {space}"


def fit_command(target: str, space: str) -> str:
    """Return the command that fits a table to a file of timings."""
    return f"hwnas lut fit TIMINGS.csv --target {target} --space {space}"
