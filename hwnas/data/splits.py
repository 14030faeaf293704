"""Which images are for what, and in which order they are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import UserError
from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 0
SEARCH_PER_CLASS = 10
"""Held out of training for candidate scores (Xiong et al., ICCV 2019)."""
SEARCH_MINIMUM = 2_000
"""With few classes ten images each are too noisy a score: hold out at least so many ..."""
SEARCH_SHARE = 0.1
"""... but no more than this share of any class, nor more of it for "final" if that is needed."""


@dataclass(frozen=True, slots=True)
class Splits:
    """Rows of the training files by purpose.

    Attributes:
        train: trained on.
        search: score candidates.
        judge: score finalists. They are of `train`, so that scores of candidates do not hang on
            them: what they score is trained on `unjudged` rows.
        final: reported on; empty where there are test images.
    """

    train: NDArray[np.int64]
    search: NDArray[np.int64]
    judge: NDArray[np.int64]
    final: NDArray[np.int64]

    @property
    def unjudged(self) -> NDArray[np.int64]:
        """What is trained on before "judge" scores."""
        return np.setdiff1d(self.train, self.judge, assume_unique=True)


def split_rows(
    classes: NDArray[np.int64],
    source: str,
    *,
    final: bool,
    per_class: int | None = None,
    labels: Sequence[str] = (),
) -> Splits:
    """Hold out images, the same ones every time; in what is held out, classes take turns.

    Args:
        classes: class number of every row.
        source: what the rows are of, for the message.
        final: whether "final" takes images too; else it stays empty.
        per_class: how many images of each class are held out; None for the usual number.
        labels: names of the classes, for the message.

    Raises:
        UserError: no class has the three images that it takes to hold any out, or one has not
            enough for `per_class`.
    """
    sizes = np.bincount(classes, minlength=len(labels))
    if per_class is None:
        limits = _usual(sizes)
        if not limits.any():
            raise UserError(f"{source} has too few images: give at least three of a class.")
    else:
        limits = np.full(len(sizes), per_class)
        smallest = int(sizes.argmin())
        if sizes[smallest] <= (1 + final) * per_class:
            raise UserError(
                f"--held-out-per-class {per_class} leaves nothing to train on: class "
                f"{labels[smallest] if labels else smallest!r} of {source} has {sizes[smallest]} "
                f"images{', of which twice as many are held out' if final else ''}."
            )
    rows, turns = _in_turn(classes)
    taken = limits * (1 + final)
    # As many again, but no more than what is left to train on.
    judging = np.minimum(limits, (sizes - taken) // 2)
    of = classes[rows]
    search, train = turns < limits[of], turns >= taken[of]
    judge = train & (turns < (taken + judging)[of])
    if not judge.any():
        judge = search
    return Splits(np.sort(rows[train]), rows[search], rows[judge], rows[~search & ~train])


def _usual(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many images of each class are held out, of its size."""
    per_class = max(SEARCH_PER_CLASS, -(-SEARCH_MINIMUM // len(sizes)))
    shares = np.ceil(SEARCH_SHARE * sizes).astype(np.int64)
    # A class of one or two images is for training alone.
    limits: NDArray[np.int64] = np.minimum(np.minimum(shares, per_class), (sizes - 1) // 2)
    return limits


def _in_turn(classes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return shuffled rows, first one of each class, then a second, and so on; and their turns."""
    order = np.random.default_rng(SEED).permutation(len(classes))
    labels = classes[order]
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], labels[by_class])
    turns = np.empty(len(order), np.int64)
    turns[by_class] = np.arange(len(order)) - starts
    by_turn = np.lexsort((labels, turns))
    return order[by_turn], turns[by_turn]


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
