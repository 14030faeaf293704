"""Where an exported file comes from: kept in the file itself, since files get separated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.files import read_json, sha256
from hwnas.lut.library import Library

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.runs import Run
    from hwnas.workflows.winner import Winner


def origin_of(workspace: Path, run: Run, winner: Winner) -> dict[str, str]:
    """Return provenance of a run's winner, texts by name: run, training, lookup table.

    Raises:
        UserError: a file of the table is damaged.
    """
    found = {"run": run.path.name, **_training(winner)}
    if winner.target is not None:
        found["target"] = winner.target
        found |= _table(Library(workspace).locate(winner.target, winner.space.name))
    return found


def _training(winner: Winner) -> dict[str, str]:
    if winner.checkpoint is None:
        return {}
    return {
        "checkpoint.sha256": sha256(winner.checkpoint.read_bytes()),
        "dataset": str(winner.dataset),
    }


def _table(folder: Path | None) -> dict[str, str]:
    """Return which lookup table the network was chosen by, if it is still there."""
    if folder is None:
        return {}
    meta = read_json(folder / "meta.json", "Build the table again: hwnas profile")
    return {
        "table": f"{folder.parent.name}/{folder.name}",
        "table.source": str(meta.get("source")),
        "table.created": str(meta.get("created")),
        "table.sha256": sha256((folder / "table.csv").read_bytes()),
        "table.runtime": " ".join(str(part) for part in meta.get("runtime", {}).values()),
    }
