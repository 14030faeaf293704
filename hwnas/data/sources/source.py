"""What decoding asks of a place where labelled images are kept, whatever kind of place it is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Item: TypeAlias = "bytes | NDArray[np.uint8]"
"""An encoded image, or the pixels of one, (height, width) or (height, width, 3)."""

UNIT = 256
"""Images that are decoded, written and remembered as done together."""


SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "valid", "val", "dev"),
}
"""Words in the names of files and folders that tell what images are for."""

SPLIT_NAMES = {word: split for split, words in SPLITS.items() for word in words}
"""What a name tells that is such a word and nothing else."""


def split_of(name: str) -> str | None:
    """Return what the name of a file or folder tells that its images are for, or None."""
    words = {word for word in re.split(r"[^a-z]+", name.lower()) if word}
    for split, known in SPLITS.items():
        if name.lower().startswith(known) or words & set(known):
            return split
    return None


class Source(Protocol):
    """Labelled images of one part of a data set, for training or for the final test.

    Making one reads nothing; what is asked for is read then.
    """

    @property
    def title(self) -> str:
        """What the images are of, for messages."""

    @property
    def identity(self) -> Any:
        """JSON that changes with the images, the classes or their order; cheap to tell."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes.

        Raises:
            UserError: the place holds no labelled images, or not of all classes.
        """

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class number of every image, (n,)."""

    @property
    def units(self) -> Sequence[tuple[int, int]]:
        """Ranges [first, last) that together are all images, each quick to read by itself."""

    @property
    def in_memory(self) -> bool:
        """Whether reading takes no time, so that helpers would only cost."""

    def piece(self, first: int, last: int) -> Iterable[Item]:
        """Return the images of a range, read when iterated; it can be sent to another process.

        Raises:
            UserError: on iteration, if a file cannot be read.
        """

    def where(self, row: int) -> str:
        """Return which image that is, for messages."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A data set as it is kept.

    Attributes:
        kind: in words, such as "image folder".
        train: training images.
        test: images for the final test, or None.
        note: what else was found and is not used, or empty.
        revision: commit of a data set that comes from a hub, or empty.
    """

    kind: str
    train: Source
    test: Source | None = None
    note: str = ""
    revision: str = ""


def even_units(count: int) -> list[tuple[int, int]]:
    """Return ranges of up to `UNIT` that together are range(count)."""
    return [(first, min(first + UNIT, count)) for first in range(0, count, UNIT)]


def stamp(path: Path) -> list[Any]:
    """Return what changes with a file's content, without reading it.

    Raises:
        UserError: the file is gone.
    """
    try:
        about = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    return [str(path.resolve()), about.st_size, about.st_mtime_ns]


def require_distinct(labels: Sequence[str], title: str) -> None:
    """Check that no two classes have the same name.

    Raises:
        UserError: they have.
    """
    if len(set(labels)) < len(labels):
        twice = next(name for name, times in Counter(labels).items() if times > 1)
        raise UserError(f"{title}: two classes are called {twice!r}: rename one.")


def require_all_classes(classes: NDArray[np.int64], labels: Sequence[str], title: str) -> None:
    """Check that every class has an image to train on.

    Raises:
        UserError: one has none.
    """
    counts = np.bincount(classes, minlength=len(labels))
    if missing := [name for name, count in zip(labels, counts, strict=True) if not count]:
        raise UserError(
            f"{title}: no image of class {missing[0]!r} ({len(missing)} of {len(labels)} "
            "classes are missing): give all training files."
        )
