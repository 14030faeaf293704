"""The rows of a table as CSV: written in full, read with every doubt."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from hwnas.errors import TableError
from hwnas.lut.table import Row
from hwnas.spaces import Key, RcnetSpace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
    "energy_source",
)


def to_csv(rows: Mapping[Key, Row]) -> str:
    """Return the content of table.csv."""
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
                row.energy_source,
            ]
        )
    return stream.getvalue()


def read_csv(path: Path, columns: tuple[str, ...], again: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file with exactly these columns, in this order.

    Raises:
        TableError: missing, unreadable, or another header.
    """
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        raise TableError(f"{path} is missing. {again}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read ({error}). {again}") from None
    found = tuple(reader.fieldnames or ())
    if found != columns:
        raise TableError(f"{path}, line 1: {_wrong_header(found, columns)}. {again}")
    return list(reader)


def _wrong_header(found: tuple[str, ...], columns: tuple[str, ...]) -> str:
    missing = [name for name in columns if name not in found]
    unknown = [name for name in found if name not in columns]
    if missing:
        instead = f" (there is {unknown[0]!r}, which is not known)" if unknown else ""
        return f"column {missing[0]!r} is missing{instead}"
    return f"column {unknown[0]!r} is not known" if unknown else "the columns are out of order"


def read_rows(path: Path, space: RcnetSpace, energy_source: str, again: str) -> dict[Key, Row]:
    """Read table.csv.

    Args:
        path: the file.
        space: whose keys it holds, and no others.
        energy_source: the one of all rows, by meta.json: sources are never mixed in one table.
        again: the remedy that every message ends with.

    Raises:
        TableError: the header or a row is not right; the message names file and line.
    """
    rows: dict[Key, Row] = {}
    known = frozenset(space.lookup_keys())
    for line, text in enumerate(read_csv(path, COLUMNS, again), start=2):
        try:
            key, row = _parse_row(text)
        except (TypeError, ValueError) as error:
            raise TableError(f"{path}, line {line}: {error}. {again}") from None
        wrong = ""
        if key not in known:
            wrong = f"{key} is no part of {space.name}"
        elif key in rows:
            wrong = f"{key} is there twice"
        elif row.energy_source != energy_source:
            wrong = f"energy_source is {row.energy_source}, but meta.json says {energy_source}"
        if wrong:
            raise TableError(f"{path}, line {line}: {wrong}. {again}")
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
        energy_source=text["energy_source"],
    )
    return key, row
