"""A bundle on disk: a folder with the manifest and one file per model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.bundle.manifest import MANIFEST_FILE
from hwnas.bundle.models import room
from hwnas.bundle.results import RESULTS_FILE
from hwnas.errors import UserError
from hwnas.files import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hwnas.bundle.manifest import Manifest, TimedModel
    from hwnas.bundle.models import Maker
    from hwnas.graph import Graph
    from hwnas.progress import Reporter

MODELS = "models"
NOT_IN_THE_HASH = ("bundle", "created", "hwnas")


def require_free(folder: Path) -> None:
    """Refuse a place that holds something else than a bundle, or a bundle with results.

    Raises:
        UserError: it does.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MANIFEST_FILE).exists()):
        raise UserError(f"{folder} is there and is no bundle: name a new folder.")
    if found := sorted(folder.glob(f"{RESULTS_FILE.removesuffix('.json')}*.json*")):
        raise UserError(
            f"{folder} holds results ({found[0].name}): take them in with --ingest {found[0]}, or "
            "remove them, or name another folder."
        )


def require_room(folder: Path, graphs: Mapping[str, Graph]) -> None:
    """Raise UserError where the models of graphs need more room than is free."""
    needed, free = room(folder, graphs.values())
    if free < needed:
        raise UserError(
            f"{folder} needs about {needed:.1f} GB, but {free:.1f} GB are free: name a folder on "
            "another disk, or time fewer networks (--networks)."
        )


def write_models(
    folder: Path, graphs: Mapping[str, Graph], maker: Maker, reporter: Reporter
) -> dict[str, TimedModel]:
    """Write the models of graphs into a bundle's folder; return what a device should say of each.

    Raises:
        UserError: the place cannot be written.
    """
    models = {}
    with reporter.task("writing models", len(graphs)) as step:
        for name, graph in graphs.items():
            artifact, models[name] = maker.make(graph)
            path = folder / MODELS / f"{artifact.sha256}{maker.suffix}"
            if not path.exists():
                artifact.write(path)
            step(1)
    return models


def identity(manifest: Manifest) -> str:
    """Return the hash of a manifest, without itself and without when and by whom it was written."""
    content = manifest.model_dump(mode="json", by_alias=True)
    return fingerprint({k: v for k, v in content.items() if k not in NOT_IN_THE_HASH})
