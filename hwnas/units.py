"""Quantities with units: parsing what users type, formatting what they read.

Inside the program a latency is a float in ms, an energy in mJ, memory and size in bytes, and
params and MAdds are plain counts; `Dimension` names the base unit of each.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from hwnas.errors import UserError

WITH_UNIT = re.compile(
    r"\s*([-+]?(?=\.?[0-9])[0-9]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?)\s*([A-Za-zµ]*)\s*"
)


@dataclass(frozen=True, slots=True)
class Dimension:
    """A kind of quantity: its base unit, what each accepted unit is worth in it, digits shown."""

    name: str
    base: str
    units: dict[str, float]
    display: tuple[str, ...]
    digits: int = 4

    def parse(self, text: str) -> float:
        """Return the value of `text` (such as "190ms") in the base unit.

        Raises:
            UserError: no unit, unknown unit, not a number, not positive, or infinite.
        """
        match = WITH_UNIT.fullmatch(text)
        accepted = ", ".join(self.units)
        example = f"{3.4 if self.base == 'count' else 190}{self.display[0]}"
        if not match:
            raise UserError(
                f"{self.name}: {text!r} is not a number with a unit, e.g. {example} "
                f"(units: {accepted})."
            )
        number, unit = match.groups()
        if not unit:
            raise UserError(
                f"{self.name}: {text!r} has no unit. "
                f"Write for instance {example} (units: {accepted})."
            )
        if unit not in self.units:
            raise UserError(f"{self.name}: unknown unit {unit!r} in {text!r} (units: {accepted}).")
        value = float(number) * self.units[unit]
        if not value > 0:
            raise UserError(f"{self.name}: {text!r} must be above zero, e.g. {example}.")
        if math.isinf(value):
            raise UserError(f"{self.name}: {text!r} is too large, e.g. {example}.")
        return value

    def format(self, value: float) -> str:
        """Return `value` (base unit) as a short text that `parse` reads back."""
        unit = next((u for u in self.display if abs(value) >= self.units[u]), self.display[-1])
        return f"{value / self.units[unit]:.{self.digits}g}{unit}"


PLAIN = "plain number"
"""Base unit of what has no known one."""


def plain(name: str) -> Dimension:
    """Return a dimension without a known unit: numbers are told as they are."""
    return Dimension(name, PLAIN, {"": 1.0}, ("",), digits=10)


def known_as(name: str, base: str) -> Dimension:
    """Return the dimension of a cost by its name ("latency@iphone5s") and its base unit."""
    known = DIMENSIONS.get(name.partition("@")[0])
    return known if known is not None and known.base == base else plain(name)


LATENCY = Dimension("latency", "ms", {"ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3}, ("ms", "us"))
PARAMS = Dimension("params", "count", {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}, ("M", "k"))
MADDS = Dimension("madds", "count", {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}, ("M", "k"))
DURATION = Dimension("time", "s", {"s": 1.0, "min": 60.0, "h": 3600.0, "ms": 1e-3}, ("s", "ms"))
ENERGY = Dimension("energy", "mJ", {"mJ": 1.0, "J": 1e3, "uJ": 1e-3, "µJ": 1e-3}, ("mJ", "uJ"))
_BYTES = {
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
MEMORY = Dimension("memory", "B", _BYTES, ("MB", "kB"))
SIZE = Dimension("size", "B", _BYTES, ("MB", "kB"))


DIMENSIONS = {d.name: d for d in (LATENCY, PARAMS, MADDS, ENERGY, MEMORY, SIZE)}
