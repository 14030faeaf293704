"""A run's winner to be timed: on which targets, and by which files."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.lut.library import Library
from hwnas.workflows.bench.timing import Candidate, Target, Timing
from hwnas.workflows.export.calibration import calibration_images
from hwnas.workflows.export.exported_files import find_exported
from hwnas.workflows.tables import check_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.targets.backend import Backend
    from hwnas.workflows.winner import Winner


def targets_of(
    run: Run, winner: Winner, workspace: Path, names: Sequence[str], reporter: Reporter
) -> list[Target]:
    """Return the targets by name, or those that a run has a target or latency budget for.

    Args:
        run: a finished search.
        winner: of the run.
        workspace: holds lut/.
        names: or none.
        reporter: told what weakens a table.

    Raises:
        UserError: no target is known, or a table is damaged.
    """
    budgets = _budgets_ms(run, winner)
    found = []
    for name in dict.fromkeys(names or budgets):
        profile, library, space = find_target(name), Library(workspace), winner.space.name
        table = library.find(name, space) if library.locate(name, space) else None
        if table is not None:
            check_table(table, reporter)
        found.append(Target(profile, budgets.get(name), table))
    if not found:
        raise UserError("this run was searched without a device: name one with --target.")
    return found


def _budgets_ms(run: Run, winner: Winner) -> dict[str, float | None]:
    """Return the run's limit on the winner's latency for each of its targets."""
    found: dict[str, float | None] = {} if winner.target is None else {winner.target: None}
    for limit in run.read("request.json", "")["limits"]:
        target = limit["target"] or winner.target
        if limit["resource"] == "latency" and target and found.get(target) is None:
            found[target] = float(limit["value"])
    return found


def candidates_of(run: Run, winner: Winner, target: Target, reporter: Reporter) -> list[Candidate]:
    """Return the winner in the target's precision, then its exported files in other ones.

    Args:
        run: whose exported files are looked at; what is not there is emitted.
        winner: the network.
        target: gives prediction and budget of the winner in its precision alone.
        reporter: told what is not used.

    Raises:
        UserError: only the device itself can time it.
    """
    backend, graph = target.backend, winner.space.graph(winner.arch)
    exported = find_exported(run, winner, backend.form, reporter)
    own = exported.pop(backend.precision, None)
    first = Candidate(
        name="winner",
        graph=graph,
        model=_emitted(winner, backend, reporter) if own is None else own.model,
        predicted_ms=target.predicted_ms(winner.arch),
        budget_ms=target.budget_ms,
        file=None if own is None else str(own.path),
    )
    others = [
        Candidate(
            name=f"winner {precision}",
            graph=graph,
            model=one.model,
            precision=precision,
            file=str(one.path),
        )
        for precision, one in exported.items()
    ]
    return [first, *others]


def _emitted(winner: Winner, backend: Backend, reporter: Reporter) -> bytes:
    from hwnas.models.network import fold

    images = training_images(winner, reporter) if backend.precision == "int8" else None
    return backend.emit(winner.space.graph(winner.arch), fold(winner.network()), images)


def training_images(winner: Winner, reporter: Reporter) -> NDArray[np.float32] | None:
    """Return normalised training images (n, 3, H, W) of the run's data set, to quantise by.

    None where there is no data set, or its files are gone, which is told: noise then takes their
    place, which hardly matters for timing.
    """
    try:
        data = winner.data()
        return None if data is None else calibration_images(data, winner.space.resolution)
    except UserError as error:
        reporter.warn(f"the 8-bit file is quantised by noise instead of images: {error}")
        return None


def expected_row(winner: Winner, target: Target) -> dict[str, Any]:
    """Return the row of a target that cannot be measured here: what is not known is None."""
    graph, profile = winner.space.graph(winner.arch), target.profile
    return {
        **dict.fromkeys(field.name for field in fields(Timing)),
        "name": "winner",
        "target": profile.name,
        "precision": profile.precision,
        "params": graph.params,
        "madds": graph.madds,
        "predicted_ms": target.predicted_ms(winner.arch),
        "budget_ms": target.budget_ms,
    }
