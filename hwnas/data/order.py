"""The order of training images: every epoch another one, told by the seed, without an end."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hwnas.seeds import derive

if TYPE_CHECKING:
    from numpy.typing import NDArray


@lru_cache(maxsize=4)
def _epoch(size: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng(derive(seed, "epoch", number)).permutation(size)


def endless_epochs(size: int, seed: int, first: int, count: int) -> NDArray[np.int64]:
    """Return `count` items, from number `first` on, of epoch after epoch of range(size)."""
    parts, end = [], first + count
    while first < end:
        number, start = divmod(first, size)
        parts.append(_epoch(size, seed, number)[start : start + end - first])
        first += len(parts[-1])
    return np.concatenate(parts)


def shuffled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows in an order that says nothing of their classes, the same every time."""
    return rows[np.random.default_rng(0).permutation(len(rows))]
