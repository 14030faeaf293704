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
    units = source.units
    step = max(1, len(units) // SAMPLED_UNITS)
    return _most_common(
        source, ((first, min(last, first + SAMPLED_IMAGES)) for first, last in units[::step])
    )


def common_side(source: Source) -> int:
    """Return the most common shorter side of all images; of equally common ones the larger.

    Raises:
        UserError: none can be read, or they are too small.
    """
    return _most_common(source, source.units)


def _most_common(source: Source, ranges: Iterable[tuple[int, int]]) -> int:
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
    side = max(sides, key=lambda side: (sides[side], side))
    if side < MIN_SIDE:
        raise UserError(
            f"most images of {source.title} are only {side} pixels high or wide: at least "
            f"{MIN_SIDE} are needed."
        )
    return side
