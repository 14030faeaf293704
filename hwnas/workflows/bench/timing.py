"""The timing of `hwnas bench`: networks side by side on one target, against their budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage, UserError, one_of
from hwnas.graph import random_weights
from hwnas.measure import BUSY, Round, measure_round, pinned, warm_up
from hwnas.spaces import BASELINES
from hwnas.targets.backend import local_backend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.device import DeviceProfile
    from hwnas.graph import Graph
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace
    from hwnas.targets.backend import Backend, Session

ROUNDS = 150
ATTEMPTS = 3


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
        target: name of the target.
        timings: the candidates first, then the baselines.
        busy: whether other load disturbed even the calmest attempt.
        speed: the reference network's median now over the one of the table's day, or None.
        facts: runtime with its version, precision and threads.
    """

    target: str
    timings: tuple[Timing, ...]
    busy: bool
    speed: float | None
    facts: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether no network missed its budget."""
        return all(timing.verdict != "FAIL" for timing in self.timings)

    def to_json(self) -> dict[str, Any]:
        """Return what holds for all networks on this target."""
        return {
            "measured": True,
            **self.facts,
            "busy": self.busy,
            "speed_against_table": self.speed,
        }


def find_backend(profile: DeviceProfile) -> Backend | None:
    """Return the backend that times `profile` here, or None when only the device itself can."""
    if not profile.local:
        return None
    return local_backend(profile.runtime, profile.precision, profile.python)


def backend_for(profile: DeviceProfile) -> Backend:
    """Return the backend that times `profile` here.

    Raises:
        UserError: only the device itself can.
    """
    backend = find_backend(profile)
    if backend is None:
        raise UserError(
            f"{profile.title} is not attached: nothing can be measured for {profile.name} here. "
            "`hwnas predict` gives its ESTIMATED latency; --target onnx-cpu measures on this "
            "machine."
        )
    return backend


def baseline(name: str, space: RcnetSpace, backend: Backend) -> Candidate:
    """Return a baseline at the geometry of a space, with random weights.

    Raises:
        UserError: unknown baseline.
    """
    if name not in BASELINES:
        raise one_of("baseline", name, list(BASELINES))
    graph = BASELINES[name](space.resolution, space.classes, space.width)
    return Candidate(name, graph, backend.emit(graph, random_weights(graph, seed=0)))


def bench(
    profile: DeviceProfile,
    backend: Backend,
    candidates: list[Candidate],
    space: RcnetSpace | None,
    table: Table | None,
    reporter: Reporter,
) -> Bench:
    """Time the candidates, interleaved with each other and the table's reference network.

    A disturbed attempt is repeated, up to `ATTEMPTS` times; the calmest one counts.

    Args:
        profile: the target.
        backend: runs it.
        candidates: what is timed.
        space: whose start network is the reference, or None: there is no table to compare with.
        table: of this target and space, or None.
        reporter: is shown progress.

    Raises:
        UserError: a file that the runtime cannot run.
    """
    sessions = [load(candidate, profile, backend) for candidate in candidates]
    timers = {str(index): session.elapsed_ms for index, session in enumerate(sessions)}
    if space is not None:
        timers["reference"] = _reference(profile, backend, space).elapsed_ms
    attempts: list[dict[str, list[float]]] = []
    with pinned(profile.threads), reporter.task(f"timing on {profile.name}", ROUNDS) as step:
        for attempt in range(ATTEMPTS):
            warm_up(timers.values())
            rounds = []
            for number in range(ROUNDS):
                rng = np.random.default_rng([attempt, number])
                rounds.append(measure_round(timers, rng))
                step(attempt == 0)
            attempts.append(_by_name(rounds))
            if _disturbance(attempts[-1]) <= BUSY:
                break
    calmest = min(attempts, key=_disturbance)
    return Bench(
        target=profile.name,
        timings=tuple(
            _timing(profile, candidate, calmest[str(index)])
            for index, candidate in enumerate(candidates)
        ),
        busy=_disturbance(calmest) > BUSY,
        speed=_speed(table, calmest.get("reference")),
        facts={
            "runtime": {"name": backend.name, "version": backend.version()},
            "precision": profile.precision,
            "threads": profile.threads,
        },
    )


def load(candidate: Candidate, profile: DeviceProfile, backend: Backend) -> Session:
    """Load a candidate's file.

    Raises:
        MissingPackage: the runtime is not installed.
        UserError: the runtime cannot run it; the message names the file.
    """
    try:
        return backend.load(candidate.model, profile.threads)
    except MissingPackage:
        raise
    except UserError as error:
        raise UserError(f"{candidate.file or candidate.name}: {error}") from None


def _reference(profile: DeviceProfile, backend: Backend, space: RcnetSpace) -> Session:
    graph = space.graph(space.start())
    return backend.load(backend.emit(graph, random_weights(graph, seed=0)), profile.threads)


def _by_name(rounds: list[Round]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for samples in rounds:
        for name, ms in samples:
            found.setdefault(name, []).append(ms)
    return found


def _disturbance(samples: dict[str, list[float]]) -> float:
    """Return the median over networks of median over 10th percentile: 1 on a silent machine."""
    ratios = [np.median(times) / np.quantile(times, 0.1) for times in samples.values()]
    return float(np.median(ratios))


def _timing(profile: DeviceProfile, candidate: Candidate, samples: list[float]) -> Timing:
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


def _speed(table: Table | None, reference: list[float] | None) -> float | None:
    """Return None also for a table that was made from files of timings: it has no reference."""
    about = None if table is None else table.meta.get("reference")
    if about is None or reference is None:
        return None
    return float(np.median(reference) / about["median_ms"])
