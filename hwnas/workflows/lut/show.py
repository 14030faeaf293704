"""`hwnas lut show`: where a table comes from, how far to trust it, and what it says of each key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import TableError
from hwnas.lut.accuracy import CONFIDENCE
from hwnas.lut.library import Library
from hwnas.lut.stages import places
from hwnas.workflows.tables import choose

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hwnas.lut.stages import Place
    from hwnas.lut.table import Row, Table
    from hwnas.spaces import Key
    from hwnas.workflows.lut.options import LutShowOptions


@dataclass(frozen=True, slots=True)
class Shown:
    """A table and where it lies."""

    table: Table
    folder: Path

    @property
    def unstable(self) -> list[Key]:
        """Keys whose interval is wider than +-5%; none of an estimate, whose doubt is stated."""
        if self.table.estimated:
            return []
        return [key for key, row in self.table.rows.items() if row.unstable]

    @property
    def effects(self) -> dict[Key, float]:
        """Corrected over raw latency of each key: what its place in a network adds or saves."""
        return {key: row.latency_ms / row.raw_ms for key, row in self.table.rows.items()}

    @property
    def margin(self) -> float | None:
        """The margin at 95%, or None where too few networks were held out."""
        try:
            return self.table.margin(CONFIDENCE)
        except TableError:
            return None

    @property
    def margin_certainty(self) -> float | None:
        """How surely it covers 95%, or None for an estimate."""
        return self.table.margin_certainty(CONFIDENCE)

    def to_json(self) -> dict[str, Any]:
        """Return provenance and rows."""
        table, meta = self.table, self.table.meta
        effects = self.effects
        at = _places_by_key(places(table.space))
        told = ("source", "created", "device", "runtime", "precision", "threads", "validation")
        return {
            "target": table.target,
            "space": table.space.name,
            "folder": str(self.folder),
            "label": table.label,
            **{name: meta[name] for name in told},
            "margin": self.margin,
            "margin_certainty": self.margin_certainty,
            "confidence": CONFIDENCE,
            "uncertainty_95pct": meta.get("uncertainty_95pct"),
            "energy_source": meta["energy_source"],
            "energy": meta.get("energy"),
            "unstable": [str(key) for key in self.unstable],
            "median_effect": float(np.median(list(effects.values()))),
            "rows": [
                _row_json(key, row, at.get(key)) | {"effect": effects[key]}
                for key, row in table.rows.items()
            ],
        }


def show(options: LutShowOptions) -> Shown:
    """Return a table: the one asked for, else the newest of the workspace.

    Raises:
        UserError: unknown target or space.
        TableError: no such table, or a damaged one.
    """
    library, space = Library(options.workspace), options.space
    wanted, chosen = choose(library, options.target, space, {})
    if wanted is None and (newest := library.latest(chosen.name)) is not None:
        wanted = newest[0]
    if wanted is None:
        raise TableError(
            f"there is no lookup table{f' for {space}' if space else ''} in this workspace. Build "
            f"one: hwnas profile --target onnx-cpu{f' --space {space}' if space else ''}"
        )
    table = library.find(wanted, chosen.name)
    folder = library.locate(wanted, chosen.name)
    return Shown(table, folder or library.folder(wanted, chosen.name))


def _places_by_key(found: list[Place]) -> Mapping[Key, Place]:
    at: dict[Key, Place] = {}
    for place in found:
        for key in place.keys.values():
            at.setdefault(key, place)
    return at


def _row_json(key: Key, row: Row, place: Place | None) -> dict[str, Any]:
    return {
        "key": str(key),
        "block": key.block,
        "stage": None if place is None else place.stage,
        "first": None if place is None else place.first,
        "latency_ms": row.latency_ms,
        "latency_low_ms": row.latency_low_ms,
        "latency_high_ms": row.latency_high_ms,
        "raw_ms": row.raw_ms,
        "energy_mj": row.energy_mj,
        "energy_source": row.energy_source,
        "samples": row.samples,
    }
