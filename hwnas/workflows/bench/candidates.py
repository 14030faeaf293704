"""The files of a run's winner that a runtime is timed with: exported ones, else emitted here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.workflows.bench.timing import Candidate
from hwnas.workflows.export.calibration import calibration_images
from hwnas.workflows.export.exported_files import find_exported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.targets.backend import Backend
    from hwnas.workflows.winner import Winner


def candidates_of(
    run: Run,
    winner: Winner,
    backend: Backend,
    table: Table | None,
    budget_ms: float | None,
    reporter: Reporter,
) -> list[Candidate]:
    """Return the winner in the target's precision, then its exported files in other ones.

    Args:
        run: whose exported files are looked at.
        winner: the network.
        backend: of the target.
        table: predicts the winner, or None.
        budget_ms: for the winner in the target's precision alone, or None.
        reporter: told what is not used.
    """
    exported = find_exported(run, winner, backend.form, reporter)
    own = exported.pop(backend.precision, None)
    graph = winner.space.graph(winner.arch)
    first = Candidate(
        name="winner",
        graph=graph,
        model=_emitted(winner, backend, reporter) if own is None else own.model,
        predicted_ms=None if table is None else table.latency_ms(winner.arch),
        budget_ms=budget_ms,
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
