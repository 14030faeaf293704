"""A run's winner on the bench: its exported file if there is one, its prediction and budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.lut.library import Library
from hwnas.workflows import bench as benches
from hwnas.workflows.trust import check_table
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.targets.backend import Backend
    from hwnas.workflows.winner import Winner


def bench_winner(
    workspace: Path, run: Run, target: str | None, baselines: list[str], reporter: Reporter
) -> dict[str, Any]:
    """Time the winner beside baselines, write bench.json, return its content.

    Raises:
        UserError: no target is known, or it cannot be timed here, or its table is damaged.
    """
    winner = of_run(run)
    name = target or winner.target
    if name is None:
        raise UserError("this run was searched without a device: name one with --target.")
    profile = find_target(name)
    backend = benches.backend_for(profile)
    library, space = Library(workspace), winner.space.name
    table = library.find(name, space) if library.has(name, space) else None
    if table is not None:
        check_table(table, reporter)
    candidates = [
        _winner_candidate(run, winner, name, backend, table),
        *(benches.baseline(other, winner.space, backend) for other in baselines),
    ]
    found = benches.bench(profile, backend, candidates, winner.space, table, reporter)
    content = {"run": str(run.path), **found.to_json()}
    run.write("bench.json", content)
    return content


def _winner_candidate(
    run: Run, winner: Winner, target: str, backend: Backend, table: Table | None
) -> benches.Candidate:
    graph = winner.space.graph(winner.arch)
    return benches.Candidate(
        name="winner",
        graph=graph,
        model=_exported(run, winner) or _emitted(winner, backend),
        predicted_ms=None if table is None else table.latency_ms(winner.arch),
        budget_ms=_budget_ms(run, target),
    )


def _exported(run: Run, winner: Winner) -> bytes | None:
    """Return the run's own ONNX file if it is of this network."""
    from pathlib import Path

    if not run.has("export/onnx.json"):
        return None
    about = run.read("export/onnx.json", "Export again.")
    path = run.path / "export" / Path(about["file"]).name
    same = about["arch"] == winner.space.format(winner.arch)
    return path.read_bytes() if same and path.is_file() else None


def _emitted(winner: Winner, backend: Backend) -> bytes:
    from hwnas.models.network import fold

    return backend.emit(winner.space.graph(winner.arch), fold(winner.network()))


def _budget_ms(run: Run, target: str) -> float | None:
    request = run.read("request.json", "")
    for limit in request["limits"]:
        if limit["resource"] == "latency" and (limit["target"] or request["target"]) == target:
            return float(limit["value"])
    return None
