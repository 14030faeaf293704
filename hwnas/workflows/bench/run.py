"""`hwnas bench` of a run: its winner on every target that it was searched for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.lut.library import Library
from hwnas.workflows.bench import timing as benches
from hwnas.workflows.bench.candidates import candidates_of
from hwnas.workflows.bench.recalibration import require_recalibratable
from hwnas.workflows.table_check import check_table
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.targets.backend import Backend
    from hwnas.workflows.winner import Winner


@dataclass(frozen=True, slots=True)
class Place:
    """A target of the run, and what is known of the winner there.

    Attributes:
        profile: the target.
        backend: times it here; None when only the device itself can.
        table: of the target and the run's space, or None.
        budget_ms: the run's own limit on the winner's latency there, or None.
    """

    profile: DeviceProfile
    backend: Backend | None
    table: Table | None
    budget_ms: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One place with what was timed there."""

    place: Place
    bench: benches.Bench

    @property
    def winner(self) -> benches.Timing:
        """The network in the target's own precision."""
        return self.bench.timings[0]


@dataclass(frozen=True, slots=True)
class RunBench:
    """The winner of a run on all its targets.

    Attributes:
        run: the run.
        network: its winner.
        measured: what could be timed here.
        expected: targets that could not, with table and budget alone.
    """

    run: Run
    network: Winner
    measured: tuple[Measured, ...]
    expected: tuple[Place, ...]

    @property
    def passed(self) -> bool:
        """Whether no measured network missed its budget."""
        return all(one.bench.passed for one in self.measured)

    def to_json(self) -> dict[str, Any]:
        """Return all rows, and what holds per target."""
        timings = [timing for one in self.measured for timing in one.bench.timings]
        return {
            "run": str(self.run.path),
            "networks": [
                *map(asdict, timings),
                *(_expected_row(self.network, place) for place in self.expected),
            ],
            "targets": {
                **{one.bench.target: one.bench.to_json() for one in self.measured},
                **{place.profile.name: _expected_facts(place) for place in self.expected},
            },
            "verdict": "PASS" if self.passed else "FAIL",
        }


def bench_winner(
    workspace: Path,
    run: Run,
    targets: Sequence[str],
    baselines: Sequence[str],
    reporter: Reporter,
    *,
    recalibrating: bool = False,
) -> RunBench:
    """Time the winner beside baselines on all targets, and write bench.json.

    Args:
        workspace: holds lut/.
        run: a finished search.
        targets: or none, for those that the run has a target or latency budget for.
        baselines: names.
        reporter: is shown progress.
        recalibrating: tables are to be recalibrated, so refuse at once where that cannot be.

    Raises:
        UserError: no target is known, or none can be timed here, or a table is damaged or cannot
            be recalibrated.
    """
    winner = of_run(run)
    places = [
        _place(workspace, run, winner, name, reporter)
        for name in dict.fromkeys(targets or _targets_of(run, winner))
    ]
    if not places:
        raise UserError("this run was searched without a device: name one with --target.")
    if recalibrating:
        require_recalibratable(winner, places)
    if all(place.backend is None for place in places):
        benches.backend_for(places[0].profile)
    done = RunBench(
        run=run,
        network=winner,
        measured=tuple(
            _measured(run, winner, place, place.backend, baselines, reporter)
            for place in places
            if place.backend is not None
        ),
        expected=tuple(place for place in places if place.backend is None),
    )
    run.write("bench.json", done.to_json())
    return done


def _targets_of(run: Run, winner: Winner) -> list[str]:
    limits = run.read("request.json", "")["limits"]
    budgeted = [limit["target"] for limit in limits if limit["resource"] == "latency"]
    return [name for name in (winner.target, *budgeted) if name is not None]


def _place(workspace: Path, run: Run, winner: Winner, name: str, reporter: Reporter) -> Place:
    profile, library, space = find_target(name), Library(workspace), winner.space.name
    table = library.find(name, space) if library.has(name, space) else None
    if table is not None:
        check_table(table, reporter)
    return Place(profile, benches.find_backend(profile), table, _budget_ms(run, name))


def _budget_ms(run: Run, target: str) -> float | None:
    request = run.read("request.json", "")
    for limit in request["limits"]:
        if limit["resource"] == "latency" and (limit["target"] or request["target"]) == target:
            return float(limit["value"])
    return None


def _measured(
    run: Run,
    winner: Winner,
    place: Place,
    backend: Backend,
    baselines: Sequence[str],
    reporter: Reporter,
) -> Measured:
    candidates = [
        *candidates_of(run, winner, backend, place.table, place.budget_ms, reporter),
        *(benches.baseline(name, winner.space, backend) for name in baselines),
    ]
    space, table = winner.space, place.table
    return Measured(
        place, benches.bench(place.profile, backend, candidates, space, table, reporter)
    )


def _expected_row(winner: Winner, place: Place) -> dict[str, Any]:
    """Return the row of a target that cannot be measured here: what is not known is None."""
    graph, profile = winner.space.graph(winner.arch), place.profile
    return {
        **dict.fromkeys(field.name for field in fields(benches.Timing)),
        "name": "winner",
        "target": profile.name,
        "precision": profile.precision,
        "params": graph.params,
        "madds": graph.madds,
        "predicted_ms": None if place.table is None else place.table.latency_ms(winner.arch),
        "budget_ms": place.budget_ms,
    }


def _expected_facts(place: Place) -> dict[str, Any]:
    profile, table = place.profile, place.table
    return {
        "measured": False,
        "runtime": {"name": profile.runtime, "version": None},
        "precision": profile.precision,
        "threads": profile.threads,
        "busy": None,
        "speed_against_table": None,
        "prediction": None if table is None else table.label,
        "uncertainty_95pct": None if table is None else table.meta.get("uncertainty_95pct"),
    }
