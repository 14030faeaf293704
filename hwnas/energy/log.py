"""The log of an external power meter: a CSV of timestamps and watts."""

from __future__ import annotations

import csv
import datetime as dt
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

READINGS = 4
"""Fewest readings that a mean is taken of."""
GAP_INTERVALS, GAP_SHARE = 4.0, 0.25
"""A pause in the log is a gap when it is longer than so many usual intervals and than this share
of the time that a part ran."""
MILLISECONDS_FROM = 1e11
"""Epoch times from here on are milliseconds: as seconds they would lie in the year 5138."""


BLOCK_S = 1.0
"""How long each part runs for a meter, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class MeterLog:
    """The file that an external power meter writes.

    Attributes:
        path: CSV; may appear while the profile runs, or after it.
        offset_s: added to its timestamps.
        block_s: seconds that each part runs for the meter.
    """

    path: Path
    offset_s: float = 0.0
    block_s: float = BLOCK_S

    @property
    def name(self) -> str:
        """What is read."""
        return f"log {self.path}"


@dataclass(frozen=True, slots=True)
class PowerLog:
    """Readings in order of time.

    Attributes:
        path: the file, for messages.
        times_s: (n,) seconds since 1970, UTC, by this machine's clock.
        watts: (n,) power.
        interval_s: median seconds between two readings.
    """

    path: Path
    times_s: NDArray[np.float64]
    watts: NDArray[np.float64]
    interval_s: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval_s", float(np.median(np.diff(self.times_s))))

    def mean_watts(self, start_s: float, end_s: float) -> float:
        """Return the mean power between two times.

        The first interval is left out: a reading may be the mean of the interval before it.

        Raises:
            UserError: the log does not cover that time, has a gap there, or too few readings.
        """
        self._require_cover(start_s, end_s)
        first = np.searchsorted(self.times_s, start_s + self.interval_s)
        last = np.searchsorted(self.times_s, end_s, side="right")
        times, watts = self.times_s[first:last], self.watts[first:last]
        if len(times) < READINGS:
            raise UserError(
                f"{self.path}: {len(times)} readings while one part ran for {end_s - start_s:.3g} "
                f"s, {READINGS} are needed. {self.longer}"
            )
        edges = np.concatenate([[start_s], times, [end_s]])
        longest = int(np.argmax(np.diff(edges)))
        allowed_s = max(GAP_INTERVALS * self.interval_s, GAP_SHARE * (end_s - start_s))
        if edges[longest + 1] - edges[longest] > allowed_s:
            raise UserError(
                f"{self.path}: no reading between {clock(edges[longest])} and "
                f"{clock(edges[longest + 1])}, while parts ran. Log without gaps and profile again "
                "(--fresh)."
            )
        return float(np.trapezoid(watts, times) / (times[-1] - times[0]))

    @property
    def longer(self) -> str:
        """What to do where a part runs for too few readings."""
        seconds = math.ceil(self.interval_s * (READINGS + 2))
        return f"Let each part run for longer (--power-block {seconds}), or log faster."

    def _require_cover(self, start_s: float, end_s: float) -> None:
        first, last = float(self.times_s[0]), float(self.times_s[-1])
        if first > start_s or last < end_s:
            raise UserError(
                f"{self.path} covers {clock(first)} to {clock(last)}, but parts ran from "
                f"{clock(start_s)} to {clock(end_s)}. If the meter's clock is wrong, give "
                "--power-offset SECONDS; if its log is older, save a new one there and run the "
                "same command again."
            )


def clock(time_s: float) -> str:
    """Return a time as a short UTC text."""
    time = dt.datetime.fromtimestamp(time_s, dt.UTC).replace(tzinfo=None)
    return f"{time.isoformat(sep=' ', timespec='milliseconds')} UTC"


def read_log(path: Path, offset_s: float = 0.0) -> PowerLog:
    """Read a meter's CSV.

    Columns `timestamp` (ISO 8601, or seconds or milliseconds since 1970) and `watts`, or `volts`
    and `amps`; others are ignored. An ISO time without a zone is local time.

    Args:
        path: the file.
        offset_s: added to every timestamp, for a meter whose clock is slow.

    Raises:
        UserError: missing, unreadable, other columns, or a row that is not right.
    """
    lines = _lines(path)
    times, watts = _parse(path, lines)
    if len(times) < READINGS:
        raise UserError(f"{path}: {len(times)} readings, at least {READINGS} are needed.")
    return PowerLog(path, np.array(times) + offset_s, np.array(watts))


def check_log(path: Path, block_s: float) -> None:
    """Refuse a log that can be seen to be wrong before anything has run.

    It may be missing, or have only just begun.

    Raises:
        UserError: other columns, a row that is not right, or too slow a meter.
    """
    lines = _lines(path) if path.exists() else []
    if not lines:
        return
    times, watts = _parse(path, lines)
    if len(times) < READINGS:
        return
    log = PowerLog(path, np.array(times), np.array(watts))
    if log.interval_s * (READINGS + 1) > block_s:
        raise UserError(
            f"{path} holds one reading each {log.interval_s:.3g} s, too few for parts that run for "
            f"{block_s:g} s. {log.longer}"
        )


def _lines(path: Path) -> list[str]:
    """Return the whole lines of a file; a last one without an end is still being written."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: save the meter's log there and run the same command again."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}).") from None
    lines = text.splitlines()
    return lines if text.endswith("\n") else lines[:-1]


def _columns(path: Path, found: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the columns whose product is the power."""
    names = list(found)
    for powers in (("watts",), ("volts", "amps")):
        if {"timestamp", *powers} <= set(names):
            return powers
    raise UserError(
        f"{path}, line 1: the columns must be timestamp and watts, or timestamp, volts and amps, "
        f"but are {', '.join(map(str, names)) or 'none'}."
    )


def _parse(path: Path, lines: list[str]) -> tuple[list[float], list[float]]:
    rows = csv.DictReader(lines, skipinitialspace=True)
    columns = _columns(path, rows.fieldnames or ())
    times: list[float] = []
    watts: list[float] = []
    for line, row in enumerate(rows, start=2):
        try:
            time_s = parse_time(row["timestamp"])
            power = math.prod(float(row[name]) for name in columns)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}, line {line}: {error}.") from None
        if not (math.isfinite(power) and power >= 0):
            raise UserError(
                f"{path}, line {line}: power must be a finite number, not below zero, but is "
                f"{power:g} W."
            )
        if times and time_s <= times[-1]:
            raise UserError(f"{path}, line {line}: the timestamps must increase from row to row.")
        times.append(time_s)
        watts.append(power)
    return times, watts


def parse_time(text: str) -> float:
    """Return seconds since 1970 of an ISO 8601 text or a number of seconds or milliseconds.

    Raises:
        ValueError: neither.
    """
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"timestamp {text!r} is no time")
        return number / 1e3 if number >= MILLISECONDS_FROM else number
    try:
        return dt.datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        raise ValueError(
            f"timestamp {text!r} is neither ISO 8601 nor a number of seconds since 1970"
        ) from None
