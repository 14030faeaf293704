"""Parts of many RCNet networks at once, as numbers of lookup keys."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hwnas.spaces.blocks import BLOCK_TYPES
from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.spaces.rcnet import RcnetSpace
    from hwnas.spaces.space import Key


class _Numbers(NamedTuple):
    """Numbers of keys: by (stage, stage before + 1, type), (stage, type), and last stage."""

    first: NDArray[np.int64]
    further: NDArray[np.int64]
    head: NDArray[np.int64]


def part_indices(space: RcnetSpace, archs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the parts of many networks as places in `space.lookup_keys()`.

    Args:
        space: the space.
        archs: type numbers, (networks, positions); each fills every required stage.

    Returns:
        (networks, positions + 2): stem, one per position, head; an empty position holds the number
        of keys, one behind the last place.
    """
    numbers = _key_numbers(space)
    rows = np.arange(len(archs))
    parts = [np.zeros((len(archs), 1), np.int64)]  # the stem is the first key
    before = np.zeros(len(archs), np.int64)  # last filled stage so far, plus one
    for stage in range(STAGES):
        types = archs[:, stage * STAGE_POSITIONS : (stage + 1) * STAGE_POSITIONS]
        keys = numbers.further[stage][types]
        filled = types > 0
        any_filled, at = filled.any(axis=1), filled.argmax(axis=1)
        first = numbers.first[stage, before, types[rows, at]]
        keys[rows, at] = np.where(any_filled, first, keys[rows, at])
        parts.append(keys)
        before = np.where(any_filled, stage + 1, before)
    return np.hstack([*parts, numbers.head[before][:, None]])


@lru_cache(maxsize=64)
def _key_numbers(space: RcnetSpace) -> _Numbers:
    keys = space.lookup_keys()
    number = {key: place for place, key in enumerate(keys)}
    absent, types = len(keys), max(BLOCK_TYPES) + 1
    first = np.full((STAGES, STAGES + 1, types), absent)
    further = np.full((STAGES, types), absent)
    head = np.full(STAGES + 1, absent)
    for skeleton in space.skeletons():
        for arch in skeleton:
            filled = [s for s in range(STAGES) if arch[s * STAGE_POSITIONS]]
            _, *blocks, last = space.parts(arch)
            head[filled[-1] + 1] = number[last]
            for before, stage, key in zip([-1, *filled], filled, blocks, strict=False):
                first[stage, before + 1, arch[stage * STAGE_POSITIONS]] = number[key]
                further[stage, arch[stage * STAGE_POSITIONS]] = number[_repeated(key)]
    return _Numbers(first, further, head)


def _repeated(key: Key) -> Key:
    """Return the key of the same block once more, behind the first one of its stage."""
    resolution = -(-key.resolution // key.stride)
    return type(key)(key.block, key.out_channels, key.out_channels, 1, resolution)
