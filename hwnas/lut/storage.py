"""Tables on disk: text files, read with every doubt.

A table is a folder: `table.csv` (rows), `meta.json` (provenance) and, for a measured table,
`validation.csv` (held-out networks, predicted and measured) and `calibration.csv` (networks that
the rows were corrected by).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hwnas.errors import TableError, UserError
from hwnas.files import new_folder, read_json, sha256, write_json, write_text
from hwnas.lut.curve import Curve
from hwnas.lut.networks import held_out_to_csv, read_held_out, read_timed, timed_to_csv
from hwnas.lut.rows import read_rows, to_csv
from hwnas.lut.table import SOURCES, Table, fit_command
from hwnas.spaces import RcnetSpace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 2
"""1 had no column `energy_source`, and its provenance might lack runtime, precision and threads."""

PROVENANCE = (
    "source",
    "created",
    "device",
    "runtime",
    "precision",
    "threads",
    "energy_source",
    "validation",
)
"""What every meta.json tells besides what `save` adds."""


def save(table: Table, folder: Path) -> None:
    """Write a table's folder, whole or not at all.

    Raises:
        UserError: the place cannot be written.
    """
    content = to_csv(table.rows)
    meta = {
        "schema": SCHEMA,
        "target": table.target,
        "space": _space_to_json(table.space),
        **table.meta,
        "rows": len(table.rows),
        "calibration_networks": len(table.calibration),
        "table_sha256": sha256(content.encode()),
    }
    with new_folder(folder) as temporary:
        write_text(temporary / "table.csv", content)
        write_json(temporary / "meta.json", meta)
        if table.held_out:
            write_text(temporary / "validation.csv", held_out_to_csv(table.held_out))
        if table.calibration:
            write_text(temporary / "calibration.csv", timed_to_csv(table.calibration))


def load(folder: Path) -> Table:
    """Read a table's folder and check all of it.

    Raises:
        TableError: anything missing, truncated, edited or of another schema; the message names
            the file, the row and the remedy.
    """
    again = f"Build it again: hwnas profile --target {folder.parent.name} --space {folder.name}"
    meta = _read_meta(folder / "meta.json", again)
    if meta.get("source") == "fitted":
        again = f"Build it again: {fit_command(folder.parent.name, folder.name)}"
    try:
        space = RcnetSpace(**meta["space"])
        target, expected_hash, count = meta["target"], meta["table_sha256"], meta["rows"]
        check = _check_of(meta)
        _check_curve(meta)
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise TableError(f"{folder / 'meta.json'}: {error} is missing or wrong. {again}") from None
    rows = read_rows(folder / "table.csv", space, str(meta["energy_source"]), again)
    if len(rows) != count:
        raise TableError(
            f"{folder / 'table.csv'}: {len(rows)} rows, but meta.json says {count}: truncated. "
            f"{again}"
        )
    if sha256((folder / "table.csv").read_bytes()) != expected_hash:
        raise TableError(
            f"{folder / 'table.csv'} was changed after it was made (its SHA-256 is not the one in "
            f"meta.json). {again}"
        )
    held_out = () if check is None else read_held_out(folder / "validation.csv", check, again)
    networks = meta.get("calibration_networks", 0)
    timed = read_timed(folder / "calibration.csv", networks, again) if networks else ()
    try:
        return Table(target, space, rows, meta, held_out, timed)
    except TableError as error:
        raise TableError(f"{folder / 'table.csv'}: {error}") from None


def _read_meta(path: Path, again: str) -> dict[str, Any]:
    try:
        meta = read_json(path, again)
    except UserError as error:
        raise TableError(str(error)) from None
    found = meta.get("schema") if isinstance(meta, dict) else None
    if found != SCHEMA:
        raise TableError(
            f"{path}: schema {found}, but this version of hwnas reads schema {SCHEMA}. {again}"
        )
    return dict(meta)


def _check_of(meta: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the held-out check that a measured table states, None for an estimated one."""
    if missing := [name for name in PROVENANCE if name not in meta]:
        raise KeyError(missing[0])
    if meta["source"] not in SOURCES:
        raise ValueError(f"source {meta['source']!r}")
    if meta["source"] == "estimated":
        if not math.isfinite(meta["uncertainty_95pct"]):
            raise ValueError("uncertainty_95pct")
        return None
    check: Mapping[str, Any] = meta["validation"]
    if not isinstance(check["failures"], list):
        raise TypeError("validation.failures")
    return check


def _check_curve(meta: Mapping[str, Any]) -> None:
    curve = (meta.get("correction") or {}).get("curve")
    if curve is None:
        return
    try:
        Curve.from_json(curve)
    except (TypeError, ValueError):
        raise ValueError("correction.curve") from None


def _space_to_json(space: RcnetSpace) -> dict[str, Any]:
    return {
        "name": space.name,
        "resolution": space.resolution,
        "classes": space.classes,
        "width": space.width,
    }
