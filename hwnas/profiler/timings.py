"""From timed rounds to one time per part and per network, with what is known of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.measure import REFERENCE, Statistic, by_name, quantile, without_drift

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

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
        noise: relative gap between the even and the odd loads of each network.
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
        panel = {*keys, REFERENCE}
        steady = without_drift([timed for _, timed in rounds], panel)
        samples = by_name([[one for one in timed if one[0] in panel] for timed in steady])
        by_load = _by_load([number for number, _ in rounds], steady, panel)
        loads = {arch: by_load[space.format(arch)] for arch in plan.networks}
        archs = {arch: np.concatenate(runs) for arch, runs in loads.items()}
        ratios = [np.median(times) / np.quantile(times, QUANTILE) for times in archs.values()]
        factor = float(np.median(ratios)) if ratios else 1.0

        def typical(times: NDArray[np.float64]) -> Statistic:
            return quantile(times, QUANTILE).scaled(factor)

        return cls(
            parts={key: typical(samples[name]) for name, key in keys.items()},
            networks={arch: typical(times) for arch, times in archs.items()},
            noise={arch: _gap(runs) for arch, runs in loads.items()},
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


def _by_load(
    batches: Sequence[int], steady: Sequence[Round], panel: Container[str]
) -> dict[str, list[NDArray[np.float64]]]:
    """Return the runs of each network, load by load, without the drift that parts do not show.

    What other tenants leave of shared caches and bandwidth matters to whole networks and hardly to
    parts: batches differed by 1% to 2% more than the parts told. Networks tell it of each other as
    parts do, since each is in several batches and always among others.
    """
    whole = [[one for one in timed if one[0] not in panel] for timed in steady]
    names = {name for timed in whole for name, _ in timed}
    found: dict[str, dict[int, list[float]]] = {name: {} for name in names}
    for batch, timed in zip(batches, without_drift(whole, names) if names else [], strict=False):
        for name, ms in timed:
            found[name].setdefault(batch, []).append(ms)
    return {name: [np.array(runs) for runs in loads.values()] for name, loads in found.items()}


def _gap(loads: Sequence[NDArray[np.float64]]) -> float:
    """Return how far halves of the loads are apart: runs of one load share more than the model."""
    times = np.concatenate(loads)
    halves = (loads[::2], loads[1::2]) if len(loads) > 1 else ([times[::2]], [times[1::2]])
    one, other = (np.quantile(np.concatenate(half), QUANTILE) for half in halves)
    return float(abs(one - other) / np.quantile(times, QUANTILE))
