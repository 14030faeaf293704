"""The whole networks of a table as CSV: those that corrected it, and those that checked it."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from hwnas.errors import TableError
from hwnas.lut.accuracy import compare
from hwnas.lut.rows import read_csv
from hwnas.lut.table import HeldOut, Timed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

_TIMED_COLUMNS = ("arch", "measured_ms")
_HELD_OUT_COLUMNS = ("arch", "predicted_ms", "measured_ms")


def timed_to_csv(networks: Sequence[Timed]) -> str:
    """Return the content of calibration.csv."""
    return _to_csv(_TIMED_COLUMNS, [(n.arch, f"{n.measured_ms:.9g}") for n in networks])


def held_out_to_csv(networks: Sequence[HeldOut]) -> str:
    """Return the content of validation.csv."""
    rows = [(n.arch, f"{n.predicted_ms:.9g}", f"{n.measured_ms:.9g}") for n in networks]
    return _to_csv(_HELD_OUT_COLUMNS, rows)


def _to_csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()


def read_timed(path: Path, count: int, again: str) -> tuple[Timed, ...]:
    """Read calibration.csv, which must hold `count` networks.

    Raises:
        TableError: missing, truncated or damaged.
    """
    networks = tuple(
        Timed(row["arch"], *_times(path, line, row, _TIMED_COLUMNS[1:], again))
        for line, row in enumerate(read_csv(path, _TIMED_COLUMNS, again), start=2)
    )
    if len(networks) != count:
        raise TableError(
            f"{path}: {len(networks)} networks, but meta.json says {count}: truncated. {again}"
        )
    return networks


def read_held_out(path: Path, check: Mapping[str, Any], again: str) -> tuple[HeldOut, ...]:
    """Read validation.csv, whose networks must give the figures that meta.json states.

    The margin of every latency bound is drawn from these networks: one that was lost or edited
    would move it unseen.

    Raises:
        TableError: missing, truncated, edited or damaged.
    """
    networks = tuple(
        HeldOut(row["arch"], *_times(path, line, row, _HELD_OUT_COLUMNS[1:], again))
        for line, row in enumerate(read_csv(path, _HELD_OUT_COLUMNS, again), start=2)
    )
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
    return networks


def _times(
    path: Path, line: int, row: Mapping[str, str], columns: Sequence[str], again: str
) -> list[float]:
    try:
        times = [float(row[name]) for name in columns]
    except (TypeError, ValueError) as error:
        raise TableError(f"{path}, line {line}: {error}. {again}") from None
    if not all(math.isfinite(ms) and ms > 0 for ms in times):
        raise TableError(f"{path}, line {line}: times must be finite and above zero. {again}")
    return times
