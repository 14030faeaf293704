"""The timing of `hwnas bench`: networks side by side on one target, against their budgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hwnas.errors import MissingPackage, UserError, one_of
from hwnas.graph import random_weights
from hwnas.measure import BUSY, REFERENCE, by_name, measure_round, pinned, warm_up
from hwnas.profiler.clock import timer_of
from hwnas.spaces import BASELINES
from hwnas.targets.backend import backend_here

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.device import DeviceProfile
    from hwnas.graph import Graph
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.spaces import Arch, RcnetSpace
    from hwnas.targets.backend import Backend
    from hwnas.targets.shared.interface import Session

Samples: TypeAlias = "NDArray[np.float64]"
"""Of one network, in milliseconds."""

ROUNDS = 150
ATTEMPTS = 3


@dataclass(frozen=True)
class Target:
    """A target, and what is known of a network there.

    Attributes:
        profile: the target.
        budget_ms: limit on the network's latency, or None.
        table: of the target and the network's space, or None.
    """

    profile: DeviceProfile
    budget_ms: float | None = None
    table: Table | None = None

    @property
    def local(self) -> bool:
        """Whether networks are timed here; else only the device itself can."""
        return self._backend is not None

    @property
    def backend(self) -> Backend:
        """What times networks here.

        Raises:
            UserError: only the device itself can.
        """
        if self._backend is None:
            raise UserError(
                f"{self.profile.title} is not attached: nothing can be measured for "
                f"{self.profile.name} here. `hwnas predict` gives its ESTIMATED latency; "
                "--target onnx-cpu measures on this machine."
            )
        return self._backend

    @cached_property
    def _backend(self) -> Backend | None:
        return backend_here(self.profile)

    def predicted_ms(self, arch: Arch) -> float | None:
        """Return the latency of a network by the table, if there is one."""
        return None if self.table is None else self.table.latency_ms(arch)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to be timed: its file as it would be deployed, and what is expected of it.

    Attributes:
        name: for the table.
        graph: for its counts; None where only the file is known.
        model: the serialised file.
        predicted_ms: by the lookup table, or None.
        budget_ms: limit on the median, or None.
        precision: of the file, or None for the target's own.
        file: where it lies, or None: emitted for this timing.
    """

    name: str
    graph: Graph | None
    model: bytes
    predicted_ms: float | None = None
    budget_ms: float | None = None
    precision: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured of one network; counts and precision are None where they are unknown.

    Attributes:
        verdict: "PASS" if median_ms <= budget_ms, "FAIL" if not, None without a budget.
    """

    name: str
    target: str
    precision: str | None
    file: str | None
    params: int | None
    madds: int | None
    size_bytes: int
    median_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float
    predicted_ms: float | None
    prediction_error: float | None
    budget_ms: float | None
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Bench:
    """All timings of one interleaved run.

    Attributes:
        target: what they are of.
        timings: the candidates first, then the baselines.
        busy: whether other load disturbed even the calmest attempt.
        speed: the reference network's median now over the one of the table's day, or None.
    """

    target: Target
    timings: tuple[Timing, ...]
    busy: bool
    speed: float | None


def baseline(name: str, space: RcnetSpace, backend: Backend) -> Candidate:
    """Return a baseline at the geometry of a space, with random weights.

    Raises:
        UserError: unknown baseline.
    """
    if name not in BASELINES:
        raise one_of("baseline", name, list(BASELINES))
    graph = BASELINES[name](space.resolution, space.classes, space.width)
    return Candidate(name, graph, backend.emit(graph, random_weights(graph, seed=0)))


def time_networks(target: Target, candidates: list[Candidate], reporter: Reporter) -> Bench:
    """Time the candidates, interleaved with each other and the table's reference network.

    A disturbed attempt is repeated, up to `ATTEMPTS` times; the calmest one counts.

    Args:
        target: runs them here.
        candidates: what is timed.
        reporter: is shown progress.

    Raises:
        UserError: a file that the runtime cannot run, or only the device itself can.
    """
    sessions = [load(candidate, target) for candidate in candidates]
    timers = {str(index): session.elapsed_ms for index, session in enumerate(sessions)}
    if target.table is not None:
        space, threads = target.table.space, target.profile.threads
        timers[REFERENCE] = timer_of(target.backend, space.graph(space.start()), threads)
    attempts: list[dict[str, Samples]] = []
    profile = target.profile
    with pinned(profile.threads), reporter.task(f"timing on {profile.name}", ROUNDS) as step:
        for attempt in range(ATTEMPTS):
            warm_up(timers.values())
            rounds = []
            for number in range(ROUNDS):
                rng = np.random.default_rng([attempt, number])
                rounds.append(measure_round(timers, rng))
                step(attempt == 0)
            attempts.append(by_name(rounds))
            if _disturbance(attempts[-1]) <= BUSY:
                break
    calmest = min(attempts, key=_disturbance)
    return Bench(
        target=target,
        timings=tuple(
            _timing(profile, candidate, calmest[str(index)])
            for index, candidate in enumerate(candidates)
        ),
        busy=_disturbance(calmest) > BUSY,
        speed=_speed(target.table, calmest.get(REFERENCE)),
    )


def load(candidate: Candidate, target: Target) -> Session:
    """Load a candidate's file.

    Raises:
        MissingPackage: the runtime is not installed.
        UserError: the runtime cannot run it; the message names the file.
    """
    try:
        return target.backend.load(candidate.model, target.profile.threads)
    except MissingPackage:
        raise
    except UserError as error:
        raise UserError(f"{candidate.file or candidate.name}: {error}") from None


def _disturbance(samples: dict[str, Samples]) -> float:
    """Return the median over networks of median over 10th percentile: 1 on a silent machine."""
    ratios = [np.median(times) / np.quantile(times, 0.1) for times in samples.values()]
    return float(np.median(ratios))


def _timing(profile: DeviceProfile, candidate: Candidate, samples: Samples) -> Timing:
    p10, median, p90, p99 = (float(q) for q in np.quantile(samples, (0.1, 0.5, 0.9, 0.99)))
    predicted, budget, graph = candidate.predicted_ms, candidate.budget_ms, candidate.graph
    own = None if graph is None else profile.precision
    return Timing(
        name=candidate.name,
        target=profile.name,
        precision=candidate.precision or own,
        file=candidate.file,
        params=None if graph is None else graph.params,
        madds=None if graph is None else graph.madds,
        size_bytes=len(candidate.model),
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        p99_ms=p99,
        predicted_ms=predicted,
        prediction_error=None if predicted is None else predicted / median - 1,
        budget_ms=budget,
        verdict=None if budget is None else "PASS" if median <= budget else "FAIL",
    )


def _speed(table: Table | None, reference: Samples | None) -> float | None:
    """Return None also for a table that was made from files of timings: it has no reference."""
    about = None if table is None else table.meta.get("reference")
    if about is None or reference is None:
        return None
    return float(np.median(reference) / about["median_ms"])
