"""Tables on disk: text files, read with every doubt.

A table is a folder: `table.csv` (rows), `meta.json` (provenance) and, for a measured table,
`validation.csv` (held-out networks, predicted and measured).
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

from hwnas.errors import TableError, UserError
from hwnas.files import new_folder, read_json, sha256, write_json, write_text
from hwnas.lut.accuracy import compare
from hwnas.lut.table import SOURCES, HeldOut, Row, Table, fit_command
from hwnas.spaces import Key, RcnetSpace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 1

PROVENANCE = ("source", "created", "device", "energy_source", "validation")
"""What every meta.json tells besides what `save` adds."""

COLUMNS = (
    "block",
    "in_channels",
    "out_channels",
    "stride",
    "resolution",
    "params",
    "madds",
    "latency_ms",
    "latency_low_ms",
    "latency_high_ms",
    "raw_ms",
    "energy_mj",
    "peak_bytes",
    "weight_bytes",
    "samples",
    "source",
)


def save(table: Table, folder: Path) -> None:
    """Write a table's folder, whole or not at all.

    Raises:
        UserError: the place cannot be written.
    """
    content = _to_csv(table.rows)
    meta = {
        "schema": SCHEMA,
        "target": table.target,
        "space": _space_to_json(table.space),
        **table.meta,
        "rows": len(table.rows),
        "table_sha256": sha256(content.encode()),
    }
    with new_folder(folder) as temporary:
        write_text(temporary / "table.csv", content)
        write_json(temporary / "meta.json", meta)
        if table.held_out:
            write_text(temporary / "validation.csv", _held_out_to_csv(table.held_out))


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
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise TableError(f"{folder / 'meta.json'}: {error} is missing or wrong. {again}") from None
    rows = _read_rows(folder / "table.csv", again)
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
    held_out = () if check is None else _read_held_out(folder / "validation.csv", check, again)
    return Table(target, space, rows, meta, held_out)


def _read_meta(path: Path, again: str) -> dict[str, Any]:
    try:
        meta = read_json(path, again)
    except UserError as error:
        raise TableError(str(error)) from None
    found = meta.get("schema") if isinstance(meta, dict) else None
    if found != SCHEMA:
        raise TableError(f"{path}: schema {found}, expected {SCHEMA}. {again}")
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


def _to_csv(rows: Mapping[Key, Row]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for key, row in rows.items():
        energy = "" if row.energy_mj is None else f"{row.energy_mj:.6g}"
        writer.writerow(
            [
                *(key.block, key.in_channels, key.out_channels, key.stride, key.resolution),
                *(row.params, row.madds),
                *(f"{value:.9g}" for value in (row.latency_ms, row.latency_low_ms)),
                *(f"{value:.9g}" for value in (row.latency_high_ms, row.raw_ms)),
                *(energy, row.peak_bytes, row.weight_bytes, row.samples, row.source),
            ]
        )
    return stream.getvalue()


def _read_csv(path: Path, columns: tuple[str, ...], again: str) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        raise TableError(f"{path} is missing. {again}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read ({error}). {again}") from None
    if tuple(reader.fieldnames or ()) != columns:
        wrong = next((name for name in columns if name not in (reader.fieldnames or ())), "order")
        raise TableError(f"{path}: the header is not right (see column {wrong!r}). {again}")
    return list(reader)


def _read_rows(path: Path, again: str) -> dict[Key, Row]:
    rows: dict[Key, Row] = {}
    for line, text in enumerate(_read_csv(path, COLUMNS, again), start=2):
        try:
            key, row = _parse_row(text)
        except (TypeError, ValueError) as error:
            raise TableError(f"{path}, line {line}: {error}. {again}") from None
        if key in rows:
            raise TableError(f"{path}, line {line}: {key} is there twice. {again}")
        rows[key] = row
    return rows


def _parse_row(text: Mapping[str, str]) -> tuple[Key, Row]:
    if None in text or any(value is None for value in text.values()):
        raise ValueError(f"expected {len(COLUMNS)} fields")
    geometry = (int(text[name]) for name in COLUMNS[1:5])
    key = Key(text["block"], *geometry)
    energy = text["energy_mj"]
    row = Row(
        params=int(text["params"]),
        madds=int(text["madds"]),
        latency_ms=float(text["latency_ms"]),
        latency_low_ms=float(text["latency_low_ms"]),
        latency_high_ms=float(text["latency_high_ms"]),
        raw_ms=float(text["raw_ms"]),
        energy_mj=float(energy) if energy else None,
        peak_bytes=int(text["peak_bytes"]),
        weight_bytes=int(text["weight_bytes"]),
        samples=int(text["samples"]),
        source=text["source"],
    )
    return key, row


_HELD_OUT_COLUMNS = ("arch", "predicted_ms", "measured_ms")


def _held_out_to_csv(networks: tuple[HeldOut, ...]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_HELD_OUT_COLUMNS)
    writer.writerows((n.arch, f"{n.predicted_ms:.9g}", f"{n.measured_ms:.9g}") for n in networks)
    return stream.getvalue()


def _read_held_out(path: Path, check: Mapping[str, Any], again: str) -> tuple[HeldOut, ...]:
    networks = []
    for line, row in enumerate(_read_csv(path, _HELD_OUT_COLUMNS, again), start=2):
        try:
            network = HeldOut(row["arch"], float(row["predicted_ms"]), float(row["measured_ms"]))
        except (TypeError, ValueError) as error:
            raise TableError(f"{path}, line {line}: {error}. {again}") from None
        times = (network.predicted_ms, network.measured_ms)
        if not all(math.isfinite(ms) and ms > 0 for ms in times):
            raise TableError(f"{path}, line {line}: times must be finite and above zero. {again}")
        networks.append(network)
    _require_stated_accuracy(path, networks, check, again)
    return tuple(networks)


def _require_stated_accuracy(
    path: Path, networks: list[HeldOut], check: Mapping[str, Any], again: str
) -> None:
    """Raise TableError if the networks do not give the figures that meta.json states.

    The margin of every latency bound is drawn from these networks: one that was lost or edited
    would move it unseen.
    """
    if not networks:
        raise TableError(f"{path}: no networks. {again}")
    found = compare([n.predicted_ms for n in networks], [n.measured_ms for n in networks])
    for name in ("networks", "mape", "worst"):
        value = getattr(found, name)
        stated = check.get(name, value)
        if not (isinstance(stated, int | float) and math.isclose(stated, value, abs_tol=1e-6)):
            raise TableError(
                f"{path}: {name} is {value:.6g}, but meta.json says {stated}: truncated, or "
                f"changed after it was made. {again}"
            )


def _space_to_json(space: RcnetSpace) -> dict[str, Any]:
    return {
        "name": space.name,
        "resolution": space.resolution,
        "classes": space.classes,
        "width": space.width,
    }
