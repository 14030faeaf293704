"""From timed rounds to one time per part and per network, with what is known of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.measure import REFERENCE, Statistic, by_name, quantile, without_drift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hwnas.measure import Round
    from hwnas.profiler.plan import Plan
    from hwnas.spaces import Arch, Key, RcnetSpace

QUANTILE = 0.25
"""A low quantile over all loads of a network: a busy minute moves it less than mean or median."""


@dataclass(frozen=True, slots=True)
class Timings:
    """What the rounds say, in milliseconds of a typical run.

    Attributes:
        parts: by key.
        networks: by architecture.
        noise: relative gap between the even and the odd runs of each network.
        typical_factor: median over low quantile, one figure for the machine.
        reference_ms: the reference network, as a part is timed.
    """

    parts: Mapping[Key, Statistic]
    networks: Mapping[Arch, Statistic]
    noise: Mapping[Arch, float]
    typical_factor: float
    reference_ms: float

    @classmethod
    def of(cls, space: RcnetSpace, plan: Plan, rounds: Sequence[tuple[int, Round]]) -> Timings:
        """Reduce the rounds, (batch, samples), of a plan."""
        keys = {str(key): key for key in space.lookup_keys()}
        samples = by_name(without_drift([timed for _, timed in rounds], {*keys, REFERENCE}))
        archs = {arch: samples[space.format(arch)] for arch in plan.networks}
        ratios = [np.median(times) / np.quantile(times, QUANTILE) for times in archs.values()]
        factor = float(np.median(ratios)) if ratios else 1.0

        def typical(times: NDArray[np.float64]) -> Statistic:
            return quantile(times, QUANTILE).scaled(factor)

        return cls(
            parts={key: typical(samples[name]) for name, key in keys.items()},
            networks={arch: typical(times) for arch, times in archs.items()},
            noise={arch: _gap(times) for arch, times in archs.items()},
            typical_factor=factor,
            reference_ms=typical(samples[REFERENCE]).value,
        )

    def network_ms(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """Return the times of some networks."""
        return np.array([self.networks[arch].value for arch in archs])

    def split_half_noise(self, archs: Sequence[Arch]) -> float:
        """Return the mean noise of some networks.

        Half of it is about the MAPE that a perfect table would show against these timings.
        """
        return float(np.mean([self.noise[arch] for arch in archs]))


def _gap(times: NDArray[np.float64]) -> float:
    even, odd = np.quantile(times[::2], QUANTILE), np.quantile(times[1::2], QUANTILE)
    return float(abs(even - odd) / np.quantile(times, QUANTILE))
