"""The one timing protocol: interleaved rounds, with drift divided out by a panel of parts.

A machine's speed wanders (frequency, temperature, other tenants). So every round runs everything
once, in random order. What is in every round, the panel, tells the machine's speed at each moment:
how much longer than usual its members just took. Every sample is divided by that. A single
reference network would not do: its own noise would go into everything (measured: 2% to 4%).
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Run: TypeAlias = "Callable[[], None]"

Timer: TypeAlias = "Callable[[], float]"
"""Runs something and returns how long one run took, in milliseconds; see `elapsed_ms`."""

Round: TypeAlias = list[tuple[str, float]]
"""(name, milliseconds) in the order of execution."""

REFERENCE = "reference"
"""Name of the reference network, by which one session's speed is compared with another's."""

DRIFT_WINDOW = 81
"""Samples of the panel whose median deviation is the local speed."""
DRIFT_PASSES = 3
"""How often deviations and speed are refined in turn."""

BUSY = 1.15
"""Median over 10th percentile of a network's runs from which on the machine counts as busy."""

LEAST_RUNS = 2
"""Of each network: halves of its runs are compared to tell noise."""

WARM_UP_S = 0.5
WARM_UP_ROUNDS = 2


def require_enough_runs(runs: int, given: str) -> None:
    """Refuse to time a network so seldom that nothing is known of its noise.

    Args:
        runs: of each network, over all loads.
        given: what makes them so few, for the message.

    Raises:
        ValueError: fewer than `LEAST_RUNS`.
    """
    if runs < LEAST_RUNS:
        raise ValueError(
            f"each network must be timed at least {LEAST_RUNS} times, as one run tells no noise, "
            f"but got {given}"
        )


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keep this process on `threads` cores while measuring, and its garbage where it is."""
    collecting = gc.isenabled()
    gc.disable()
    before = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    if before is not None:
        os.sched_setaffinity(0, set(sorted(before)[-threads:]))
    try:
        yield
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
        if collecting:
            gc.enable()


def elapsed_ms(run: Run) -> float:
    """Return the time of one call in milliseconds, right after an untimed one.

    The first call brings weights and code back into the caches from which the run before it
    pushed them: what is timed is the steady state of an application that runs this network.
    """
    run()
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e6


def warm_up(timers: Iterable[Timer]) -> None:
    """Run everything a few times: first calls allocate, fill caches and raise the clock."""
    start, everything = time.monotonic(), list(timers)
    for _ in range(WARM_UP_ROUNDS):
        for timer in everything:
            timer()
    while everything and time.monotonic() - start < WARM_UP_S:
        for timer in everything:
            timer()


def measure_round(timers: Mapping[str, Timer], rng: np.random.Generator) -> Round:
    """Time everything once in random order."""
    names = list(timers)
    return [(names[index], timers[names[index]]()) for index in rng.permutation(len(names))]


def without_drift(rounds: Sequence[Round], panel: Container[str]) -> list[Round]:
    """Return the rounds with every sample at the machine's median speed.

    The logarithm of the speed at a sample is the median, over the `DRIFT_WINDOW` samples of the
    panel around it, of how far each is from the median of its own name.

    Args:
        rounds: in order of time.
        panel: names that tell the speed; each should be in most rounds.
    """
    from scipy import ndimage  # takes longer to import than most of what only times

    names = [name for samples in rounds for name, _ in samples]
    logs = np.log([ms for samples in rounds for _, ms in samples])
    members = np.flatnonzero([name in panel for name in names])
    if not len(members):
        raise ValueError("no sample of the panel in any round")
    by_name: dict[str, list[int]] = {}
    for index in members:
        by_name.setdefault(names[index], []).append(int(index))
    drift, window = np.zeros(len(logs)), min(DRIFT_WINDOW, (len(members) - 1) // 2 * 2 + 1)
    for _ in range(DRIFT_PASSES):
        deviation = logs.copy()
        for indices in by_name.values():
            deviation[indices] -= np.median(logs[indices] - drift[indices])
        local = ndimage.median_filter(deviation[members], window, mode="mirror")
        drift = np.interp(np.arange(len(logs)), members, local)
    steady = iter(np.exp(logs - (drift - np.median(drift))).tolist())
    return [[(name, next(steady)) for name, _ in samples] for samples in rounds]


def by_name(rounds: Iterable[Round]) -> dict[str, NDArray[np.float64]]:
    """Return the samples of each name in milliseconds, in order of time."""
    found: dict[str, list[float]] = {}
    for samples in rounds:
        for name, ms in samples:
            found.setdefault(name, []).append(ms)
    return {name: np.array(times) for name, times in found.items()}


@dataclass(frozen=True, slots=True)
class Statistic:
    """A quantile of samples with its distribution-free 95% interval, in milliseconds."""

    value: float
    low: float
    high: float
    samples: int

    @property
    def relative_half_width(self) -> float:
        """Half the interval over the value."""
        return (self.high - self.low) / 2 / self.value

    def scaled(self, factor: float) -> Statistic:
        """Return the statistic of samples that are all `factor` times as long."""
        return Statistic(self.value * factor, self.low * factor, self.high * factor, self.samples)


def quantile(samples: NDArray[np.float64], level: float) -> Statistic:
    """Return a quantile and its interval from order statistics (binomial, normal approximation)."""
    ordered, count = np.sort(samples), len(samples)
    spread = 1.96 * np.sqrt(count * level * (1 - level))
    low = max(0, int(np.floor(count * level - spread)))
    high = min(count - 1, int(np.ceil(count * level + spread)))
    value = float(np.quantile(ordered, level))
    return Statistic(
        value, min(value, float(ordered[low])), max(value, float(ordered[high])), count
    )
