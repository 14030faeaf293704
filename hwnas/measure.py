"""The one timing protocol: interleaved rounds, with drift divided out by a reference network.

A machine's speed wanders (frequency, temperature, other tenants). So every round runs all parts
once, in random order, with the reference network in between; a sample counts relative to the
reference runs around it. Comparing two parts is then comparing times of the same minute.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Run: TypeAlias = "Callable[[], None]"

Timer: TypeAlias = "Callable[[], float]"
"""Runs something and returns how long one run took, in milliseconds; see `elapsed_ms`."""

Round: TypeAlias = "list[tuple[str, float]]"
"""(name, milliseconds) in the order of execution."""

REFERENCE = "reference"
REFERENCE_SPACING = 12
"""Runs between two reference runs: at most some ten milliseconds of unseen drift."""
DRIFT_WINDOW = 9
"""Reference runs whose median is the local speed: one slow run does not count."""

BUSY = 1.15
"""Median over 10th percentile of a network's runs from which on the machine counts as busy."""

WARM_UP_S = 0.5
WARM_UP_ROUNDS = 2


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keep this process on `threads` cores while measuring, where the system allows it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[-threads:]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def elapsed_ms(run: Run) -> float:
    """Return the time of one call in milliseconds, right after an untimed one.

    The first call brings weights and code back into the caches from which the run before it
    pushed them: what is timed is the steady state of an application that runs this network.
    """
    run()
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e6


def warm_up(timers: Mapping[str, Timer]) -> None:
    """Run everything a few times: first calls allocate, fill caches and raise the clock."""
    start = time.monotonic()
    for _ in range(WARM_UP_ROUNDS):
        for timer in timers.values():
            timer()
    while time.monotonic() - start < WARM_UP_S:
        for timer in timers.values():
            timer()


def measure_round(timers: Mapping[str, Timer], reference: Timer, rng: np.random.Generator) -> Round:
    """Time everything once in random order, the reference first, in between and last."""
    names = list(timers)
    samples: Round = [(REFERENCE, reference())]
    for position, index in enumerate(rng.permutation(len(names)), start=1):
        samples.append((names[index], timers[names[index]]()))
        if position % REFERENCE_SPACING == 0:
            samples.append((REFERENCE, reference()))
    samples.append((REFERENCE, reference()))
    return samples


def without_drift(rounds: Sequence[Round]) -> dict[str, NDArray[np.float64]]:
    """Return the samples of each name in milliseconds at the machine's median speed.

    Each sample is divided by the local speed: the median of the `DRIFT_WINDOW` reference runs
    around it over the median of all reference runs.
    """
    sequence = [sample for samples in rounds for sample in samples]
    times = np.array([ms for _, ms in sequence])
    is_reference = np.array([name == REFERENCE for name, _ in sequence])
    reference = times[is_reference]
    half = DRIFT_WINDOW // 2
    padded = np.pad(reference, half, mode="edge")
    local = np.median(np.lib.stride_tricks.sliding_window_view(padded, DRIFT_WINDOW), axis=1)
    drift = np.interp(np.arange(len(times)), np.flatnonzero(is_reference), local)
    steady = times / drift * np.median(reference)
    found: dict[str, list[float]] = {}
    for (name, _), value in zip(sequence, steady, strict=True):
        found.setdefault(name, []).append(float(value))
    return {name: np.array(values) for name, values in found.items()}


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
