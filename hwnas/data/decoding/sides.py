"""How large the images of a source are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hwnas.data.decoding.decode import MIN_SIDE, require_pillow, shorter_side
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwnas.data.sources.source import Source

SAMPLED_UNITS, SAMPLED_IMAGES = 16, 64
"""Of so many units so many images tell how large the images of a source usually are."""


def typical_side(source: Source) -> int:
    """Return the most common shorter side of a sample of the images, in pixels.

    Raises:
        UserError: none can be read, or they are too small.
    """
    return _most_common(_sides(source, _sample(source)), source.title)


def common_side(source: Source) -> int:
    """Return the most common shorter side of all images; of equally common ones the larger.

    Where a sample is all of one size, the others are not looked at: reading the header of a small
    image takes as long as decoding it.

    Raises:
        UserError: none can be read, or they are too small.
    """
    sides = _sides(source, _sample(source))
    if len(sides) > 1:
        sides = _sides(source, source.units)
    return _most_common(sides, source.title)


def _sample(source: Source) -> list[tuple[int, int]]:
    units = source.units
    step = max(1, len(units) // SAMPLED_UNITS)
    return [(first, min(last, first + SAMPLED_IMAGES)) for first, last in units[::step]]


def _sides(source: Source, ranges: Iterable[tuple[int, int]]) -> Counter[int]:
    """Return how many images have each shorter side.

    Raises:
        UserError: no image can be read.
    """
    require_pillow()
    sides: Counter[int] = Counter()
    damage = ""
    for first, last in ranges:
        for row, item in enumerate(source.piece(first, last), first):
            found = shorter_side(item)
            if isinstance(found, int):
                sides[found] += 1
            elif not damage:
                damage = f"{source.where(row)}: {found}"
    if not sides:
        raise UserError(f"no image of {source.title} can be read ({damage}).")
    return sides


def _most_common(sides: Counter[int], title: str) -> int:
    side = max(sides, key=lambda side: (sides[side], side))
    if side < MIN_SIDE:
        raise UserError(
            f"most images of {title} are only {side} pixels high or wide: at least "
            f"{MIN_SIDE} are needed."
        )
    return side
