"""Where an exported file comes from: kept in the file itself, since files get separated."""

from __future__ import annotations

import hashlib
import importlib.metadata
from typing import TYPE_CHECKING

import torch

from hwnas.files import read_json, sha256
from hwnas.lut.library import Library

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from hwnas.models.own import OwnModel
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


def origin_of_own(model: OwnModel, packages: Sequence[str]) -> dict[str, str]:
    """Return provenance of a user's own module, texts by name: source, weights, versions.

    Args:
        model: the module.
        packages: that write its file, by the names that pip knows.
    """
    found = {"model": model.name, "source": model.source}
    if model.source_file is not None:
        found["source.sha256"] = sha256(model.source_file.read_bytes())
    written = ", ".join(map(_with_version, packages))
    return {**found, "weights.sha256": _of_weights(model.module), "written.by": written}


def _with_version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:  # built from source, without pip
        return package


def _of_weights(module: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers, with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


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
