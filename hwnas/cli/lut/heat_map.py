"""A heat map in the terminal: one row per place of a network, one column per block type.

Each cell holds its number and a bar of eight levels, so that it reads the same without colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.cli.console import stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from rich.table import Table
    from rich.text import Text

    from hwnas.lut.stages import Place
    from hwnas.spaces import Key, RcnetSpace

LEVELS = "▁▂▃▄▅▆▇█"
LOW, MIDDLE, HIGH = (69, 117, 180), (247, 247, 247), (215, 48, 39)
"""Blue, white, red: told apart by all common kinds of colour vision."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to 0..1, in logarithms.

    Attributes:
        low: value at 0.
        high: value at 1.
    """

    low: float
    high: float

    @classmethod
    def over(cls, values: Collection[float]) -> Scale:
        """From the smallest to the largest value."""
        return cls(min(values), max(values))

    @classmethod
    def around(cls, middle: float, values: Collection[float]) -> Scale:
        """As far below `middle` as above it, at least 5% each way."""
        reach = max(1.05, *(max(value / middle, middle / value) for value in values))
        return cls(middle / reach, middle * reach)

    def place(self, value: float) -> float:
        """Return where a value lies."""
        span = math.log(self.high / self.low)
        return min(1.0, max(0.0, math.log(value / self.low) / span)) if span > 0 else 0.5


def show_map(
    space: RcnetSpace,
    values: Mapping[Key, float],
    write: Callable[[float], str],
    *,
    middle: float | None = None,
    marked: Collection[Key] = (),
) -> None:
    """Print the map of a space.

    Args:
        space: whose places are the rows.
        values: by key.
        write: value to a short text.
        middle: value that is white, or None: half-way between the smallest and the largest.
        marked: keys that get an exclamation mark.
    """
    from hwnas.lut.stages import places

    out, at = stdout(), places(space)
    inside = [values[key] for place in at for key in place.keys.values()]
    scale = Scale.over(inside) if middle is None else Scale.around(middle, inside)
    bars = _can_show_bars(out)

    def cell(key: Key) -> Text:
        return _cell(values[key], scale, write, bars=bars, mark=key in marked)

    out.print(_table(at, cell))


def _table(places: Sequence[Place], cell: Callable[[Key], Text]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("stage", "block", "in-out /stride"):
        table.add_column(column, no_wrap=True)
    for block in places[0].keys:
        table.add_column(block, justify="right", no_wrap=True)
    for index, place in enumerate(places):
        new_stage = index == 0 or places[index - 1].stage != place.stage
        table.add_row(
            str(place.stage) if new_stage else "",
            "first" if place.first else "further",
            place.shape,
            *map(cell, place.keys.values()),
        )
    return table


def _cell(
    value: float, scale: Scale, write: Callable[[float], str], *, bars: bool, mark: bool
) -> Text:
    from rich.text import Text

    at = scale.place(value)
    bar = f"{LEVELS[min(len(LEVELS) - 1, int(at * len(LEVELS)))]} " if bars else ""
    red, green, blue = _colour(at)
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 140
    style = f"{'black' if bright else 'white'} on rgb({red},{green},{blue})"
    return Text(f"{bar}{write(value)}{'!' if mark else ''}", style=style)


def _colour(at: float) -> tuple[int, ...]:
    start, end, share = (LOW, MIDDLE, 2 * at) if at < 0.5 else (MIDDLE, HIGH, 2 * at - 1)
    return tuple(round(a + share * (b - a)) for a, b in zip(start, end, strict=True))


def _can_show_bars(console: Any) -> bool:
    """Return whether a rich console's encoding has the characters of `LEVELS`."""
    try:
        LEVELS.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
