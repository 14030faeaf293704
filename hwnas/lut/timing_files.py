"""Files of whole-network times, as users bring them: read with every doubt, told by line."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import UserError
from hwnas.files import sha256
from hwnas.lut.accuracy import MINIMUM_NETWORKS
from hwnas.spaces import PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.spaces import Arch, RcnetSpace

MINIMUM_TRAINING = 20
"""Networks that a fit needs, besides those that check it."""
HELD_OUT_SHARE = 0.25
SPLIT_SEED = 5
DECIMALS = 9

EXAMPLE = 'arch,latency_ms with rows such as "5,0,0,0,0,0|5,...",12.5'


@dataclass(frozen=True, slots=True)
class Timing:
    """The time of one network.

    Attributes:
        arch: its canonical form.
        latency_ms: median over its rows of the file.
        runs: runs behind it (1 per row where the file does not tell).
        standard_error_ms: of latency_ms, zero where the file does not tell.
    """

    arch: Arch
    latency_ms: float
    runs: int
    standard_error_ms: float


@dataclass(frozen=True, slots=True)
class Timings:
    """All distinct networks of a file.

    Attributes:
        path: the file.
        digest: SHA-256 of its bytes.
        networks: in the order of the file.
        step_ms: reading precision, see `reading_step`.
    """

    path: Path
    digest: str
    networks: tuple[Timing, ...]
    step_ms: float


@dataclass(frozen=True, slots=True)
class GridTimings:
    """Networks of any benchmark: one op per position, and one time.

    Attributes:
        ops: (networks, positions) as text.
        times_ms: (networks,).
        step_ms: reading precision, see `reading_step`.
    """

    ops: NDArray[np.str_]
    times_ms: NDArray[np.float64]
    step_ms: float


def read_timings(path: Path, space: RcnetSpace) -> Timings:
    """Read a CSV of `arch,latency_ms`, optionally with `runs` and `standard_error_ms`.

    Equal networks are put together, so that none can be on both sides of a check.

    Raises:
        UserError: unreadable, a wrong header, or a wrong row; the message names file and line.
    """
    data = _read(path)
    found: dict[Arch, list[Timing]] = {}
    for line, row in _rows(path, data, ("arch", "latency_ms"), EXAMPLE):
        try:
            timing = _parse(space, row)
        except (ValueError, UserError) as error:
            reason = str(error).rstrip(".")
            raise UserError(f"{path}, line {line}: {reason}. Mend or remove the row.") from None
        found.setdefault(timing.arch, []).append(timing)
    networks = tuple(_together(rows) for rows in found.values())
    _require_enough(path, len(networks), "distinct networks")
    times = np.array([timing.latency_ms for timing in networks])
    return Timings(path, sha256(data), networks, reading_step(times))


def read_grid(path: Path, positions: Sequence[str], latency: str) -> GridTimings:
    """Read a CSV with one op column per position and a latency column in milliseconds.

    Raises:
        UserError: as `read_timings`.
    """
    if repeated := {name for name in positions if list(positions).count(name) > 1}:
        raise UserError(f"--ops names {', '.join(sorted(repeated))} twice: each column is once.")
    ops, times = [], []
    for line, row in _rows(path, _read(path), (*positions, latency), "see --ops and --latency"):
        try:
            times.append(_positive(latency, row[latency]))
            ops.append([_filled(name, row[name]) for name in positions])
        except ValueError as error:
            raise UserError(f"{path}, line {line}: {error}. Mend or remove the row.") from None
    _require_enough(path, len(times), "networks")
    measured = np.array(times)
    return GridTimings(np.array(ops), measured, reading_step(measured))


def split(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices to fit and those to check: a quarter, but enough for the gate."""
    held_out = max(MINIMUM_NETWORKS, math.ceil(HELD_OUT_SHARE * count))
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def reading_step(times_ms: NDArray[np.float64]) -> float:
    """Return the power of ten, at most 1, that all times are whole multiples of.

    A device that reports whole milliseconds has an error of its own, uniform within the step.
    """
    for decimals in range(DECIMALS):
        scaled = times_ms * 10**decimals
        if np.abs(scaled - np.round(scaled)).max() < 1e-6:
            return float(10.0**-decimals)
    return float(10.0**-DECIMALS)


def rounding_error(times_ms: NDArray[np.float64], step_ms: float) -> NDArray[np.float64]:
    """Return the relative standard error that reading in steps gives each time."""
    return step_ms / math.sqrt(12) / times_ms


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read ({reason}). Give a CSV file of timings.") from None


def _rows(
    path: Path, data: bytes, columns: tuple[str, ...], example: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, row) with every field of the header there and no more."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = reader.fieldnames or ()
        if missing := [name for name in columns if name not in header]:
            raise UserError(
                f"{path}: the header has no column {missing[0]!r}, only "
                f"{', '.join(map(repr, header[:30])) or 'nothing'}. Expected: {example}."
            )
        for row in reader:
            if None in row or None in row.values():
                raise UserError(
                    f"{path}, line {reader.line_num}: not as many fields as the header's "
                    f"{len(header)}. Put fields that contain commas in double quotes."
                )
            yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8 ({error}). Save it as one.") from None


def _parse(space: RcnetSpace, row: dict[str, str]) -> Timing:
    text = row["arch"].strip()
    arch = space.canonical(space.parse(PUBLISHED.get(text, text)))
    return Timing(
        arch,
        _positive("latency_ms", row["latency_ms"]),
        _count("runs", row.get("runs") or "1"),
        _positive("standard_error_ms", error) if (error := row.get("standard_error_ms")) else 0.0,
    )


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a number above zero in milliseconds, but is {text!r}")
    return value


def _count(name: str, text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, but is {text!r}")
    return int(text)


def _filled(name: str, text: str) -> str:
    if not text.strip():
        raise ValueError(f"{name} is empty: write the name of the op")
    return text.strip()


def _together(rows: list[Timing]) -> Timing:
    errors = np.array([row.standard_error_ms for row in rows])
    return Timing(
        rows[0].arch,
        float(np.median([row.latency_ms for row in rows])),
        sum(row.runs for row in rows),
        float(np.sqrt((errors**2).sum()) / len(rows)) if errors.all() else 0.0,
    )


def _require_enough(path: Path, count: int, what: str) -> None:
    needed = MINIMUM_TRAINING + MINIMUM_NETWORKS
    if count < needed:
        raise UserError(
            f"{path}: {count} {what}, but at least {needed} are needed ({MINIMUM_TRAINING} for the "
            f"fit and {MINIMUM_NETWORKS} to check it). Time {needed - count} more."
        )
