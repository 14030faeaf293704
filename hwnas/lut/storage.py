"""Tables on disk: text files, read with every doubt.

A table is a folder: `table.csv` (rows), `meta.json` (provenance) and, for a measured table,
`validation.csv` (held-out networks, predicted and measured) and `calibration.csv` (networks that
the rows were corrected by).
"""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from hwnas.errors import TableError, UserError
from hwnas.files import csv_text, new_folder, read_json, sha256, write_json, write_text
from hwnas.lut.accuracy import compare
from hwnas.lut.table import SOURCES, HeldOut, Row, Table, Timed, curve_of, fit_command
from hwnas.spaces import Key, RcnetSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

Record = TypeVar("Record")

SCHEMA = 2
"""Of the folder and its files; a table of another one is built again."""

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

READERS: Mapping[str, Callable[[str], object]] = {
    "str": str,
    "int": int,
    "float": float,
    "float | None": lambda text: float(text) if text else None,
}
"""From a field of a file to a value, by the annotation in its record."""
DIGITS, ENERGY_DIGITS = 9, 6


def _columns(*kinds: Any) -> list[str]:
    return [each.name for kind in kinds for each in fields(kind)]


COLUMNS = _columns(Key, Row)
"""Of table.csv."""


def save(table: Table, folder: Path) -> None:
    """Write a table's folder, whole or not at all.

    Raises:
        UserError: the place cannot be written.
    """
    content = _to_csv(COLUMNS, (asdict(key) | asdict(row) for key, row in table.rows.items()))
    meta = {
        "schema": SCHEMA,
        "target": table.target,
        "space": asdict(table.space),
        **table.meta,
        "rows": len(table.rows),
        "calibration_networks": len(table.calibration),
        "table_sha256": sha256(content.encode()),
    }
    with new_folder(folder) as temporary:
        write_text(temporary / "table.csv", content)
        write_json(temporary / "meta.json", meta)
        if table.held_out:
            text = _to_csv(_columns(HeldOut), map(asdict, table.held_out))
            write_text(temporary / "validation.csv", text)
        if table.calibration:
            text = _to_csv(_columns(Timed), map(asdict, table.calibration))
            write_text(temporary / "calibration.csv", text)


def _to_csv(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> str:
    cells = ([_cell(name, record[name]) for name in columns] for record in records)
    return csv_text([columns, *cells])


def _cell(name: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.{ENERGY_DIGITS if name == 'energy_mj' else DIGITS}g}"
    return "" if value is None else str(value)


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
        _check_meta(meta)
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise TableError(f"{folder / 'meta.json'}: {error} is missing or wrong. {again}") from None
    rows = _read_table(folder / "table.csv", space, meta, again)
    held_out: tuple[HeldOut, ...] = ()
    timed: tuple[Timed, ...] = ()
    if meta["source"] != "estimated":
        held_out = _read_held_out(folder / "validation.csv", meta["validation"], again)
    if meta["calibration_networks"]:
        timed = _read_timed(folder / "calibration.csv", meta["calibration_networks"], again)
    try:
        return Table(meta["target"], space, rows, meta, held_out, timed)
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


def _check_meta(meta: Mapping[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError, naming the first field that is not right."""
    for name in ("target", "rows", "calibration_networks", "table_sha256", *PROVENANCE):
        if name not in meta:
            raise KeyError(name)
    if meta["source"] not in SOURCES:
        raise ValueError(f"source {meta['source']!r}")
    if meta["source"] != "estimated" and not isinstance(meta["validation"]["failures"], list):
        raise TypeError("validation.failures")
    if meta["source"] == "estimated" and not math.isfinite(meta["uncertainty_95pct"]):
        raise ValueError("uncertainty_95pct")
    try:
        curve_of(meta)
    except (TypeError, ValueError):
        raise ValueError("correction.curve") from None


def _read_table(
    path: Path, space: RcnetSpace, meta: Mapping[str, Any], again: str
) -> dict[Key, Row]:
    """Return the rows of table.csv, which must be the file and the keys that meta.json tells of."""
    rows: dict[Key, Row] = {}
    known = frozenset(space.lookup_keys())

    def take(cells: Mapping[str, str]) -> None:
        key, row = _record(Key, cells), _record(Row, cells)
        if key not in known:
            raise ValueError(f"{key} is no part of {space.name}")
        if key in rows:
            raise ValueError(f"{key} is there twice")
        if row.energy_source != meta["energy_source"]:  # sources are never mixed in one table
            raise ValueError(
                f"energy_source is {row.energy_source}, but meta.json says {meta['energy_source']}"
            )
        rows[key] = row

    _read_csv(path, COLUMNS, take, again)
    if len(rows) != meta["rows"]:
        raise TableError(
            f"{path}: {len(rows)} rows, but meta.json says {meta['rows']}: truncated. {again}"
        )
    if sha256(path.read_bytes()) != meta["table_sha256"]:
        raise TableError(
            f"{path} was changed after it was made (its SHA-256 is not the one in meta.json). "
            f"{again}"
        )
    return rows


def _read_timed(path: Path, count: int, again: str) -> tuple[Timed, ...]:
    networks = _read_csv(path, _columns(Timed), lambda cells: _record(Timed, cells), again)
    if len(networks) != count:
        raise TableError(
            f"{path}: {len(networks)} networks, but meta.json says {count}: truncated. {again}"
        )
    return networks


def _read_held_out(path: Path, check: Mapping[str, Any], again: str) -> tuple[HeldOut, ...]:
    """Return the networks of validation.csv, which must give the figures that meta.json states.

    The margin of every latency bound is drawn from these networks: one that was lost or edited
    would move it unseen.
    """
    networks = _read_csv(path, _columns(HeldOut), lambda cells: _record(HeldOut, cells), again)
    if not networks:
        raise TableError(f"{path}: no networks. {again}")
    found = compare([n.predicted_ms for n in networks], [n.measured_ms for n in networks])
    for name in ("networks", "mape", "worst"):
        value, stated = getattr(found, name), check.get(name)
        if not (isinstance(stated, int | float) and math.isclose(stated, value, abs_tol=1e-6)):
            raise TableError(
                f"{path}: {name} is {value:.6g}, but meta.json says {stated}: truncated, or "
                f"changed after it was made. {again}"
            )
    return networks


def _record(kind: type[Record], cells: Mapping[str, str]) -> Record:
    """Return a dataclass of the cells named as its fields; ValueError for what it cannot hold."""
    return kind(**{each.name: READERS[str(each.type)](cells[each.name]) for each in fields(kind)})  # type: ignore[arg-type]


def _read_csv(
    path: Path, columns: list[str], parse: Callable[[dict[str, str]], Record], again: str
) -> tuple[Record, ...]:
    """Return what `parse` makes of each row of a file with exactly these columns, in this order."""
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise TableError(f"{path} is missing. {again}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path} cannot be read ({error}). {again}") from None
    header, *rows = lines or [[]]
    if header != columns:
        raise TableError(f"{path}, line 1: {_wrong_header(header, columns)}. {again}")
    found = []
    for line, texts in enumerate(rows, start=2):
        try:
            if len(texts) != len(columns):
                raise ValueError(f"expected {len(columns)} fields")  # noqa: TRY301 - with its line
            found.append(parse(dict(zip(columns, texts, strict=True))))
        except ValueError as error:
            raise TableError(f"{path}, line {line}: {error}. {again}") from None
    return tuple(found)


def _wrong_header(found: list[str], columns: list[str]) -> str:
    missing = [name for name in columns if name not in found]
    unknown = [name for name in found if name not in columns]
    if missing:
        instead = f" (there is {unknown[0]!r}, which is not known)" if unknown else ""
        return f"column {missing[0]!r} is missing{instead}"
    return f"column {unknown[0]!r} is not known" if unknown else "the columns are out of order"
