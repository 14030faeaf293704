"""Images that come as arrays of pixels: scikit-learn's digits, and what torchvision unpacks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.data.sources.source import Parts, even_units, require_all_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


SIZE = 8
BRIGHTEST = 16


@dataclass(frozen=True, slots=True)
class Arrays:
    """Labelled images of one size.

    Attributes:
        pixels: (n, height, width) or (n, height, width, 3), uint8.
        classes: (n,) int64.
        labels: names of the classes.
    """

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]
    labels: tuple[str, ...]


class ArraySource:
    """Images that are loaded all at once, when they are first asked for."""

    in_memory = True

    def __init__(self, title: str, identity: Any, load: Callable[[], Arrays]) -> None:
        """Take images.

        Args:
            title: what they are of, for messages.
            identity: changes with what `load` returns.
            load: returns the images.
        """
        self.title = title
        self.identity = identity
        self._load = load

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._arrays.labels

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """As they come."""
        require_all_classes(self._arrays.classes, self.labels, self.title)
        return self._arrays.classes

    @property
    def units(self) -> Sequence[tuple[int, int]]:
        """Images in their order."""
        return even_units(len(self.classes))

    def piece(self, first: int, last: int) -> NDArray[np.uint8]:
        """Return a slice."""
        return self._arrays.pixels[first:last]

    def where(self, row: int) -> str:
        """Return the number."""
        return f"image {row}"

    @cached_property
    def _arrays(self) -> Arrays:
        return self._load()


def digits_parts() -> Parts:
    """Return scikit-learn's 1,797 handwritten digits of 8x8 pixels; none are for a test alone."""
    identity = ["scikit-learn digits", version("scikit-learn")]
    return Parts("scikit-learn", ArraySource("scikit-learn's digits", identity, _digits))


def _digits() -> Arrays:
    values, classes = bundled_digits()
    pixels = np.rint(255 * values / BRIGHTEST).astype(np.uint8)
    return Arrays(pixels, classes, tuple(str(digit) for digit in range(10)))


def bundled_digits() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pixels (1797, 8, 8) from 0 to `BRIGHTEST`, and labels (1797,).

    Read from the file that scikit-learn reads them from: importing its data sets takes as long as
    importing torch, in every process that draws an image. Where that file lies elsewhere,
    scikit-learn is asked.
    """
    spec = find_spec("sklearn")  # imports nothing
    path = Path((spec and spec.origin) or "").parent / "datasets/data/digits.csv.gz"
    if path.exists():
        table = np.loadtxt(path, delimiter=",", dtype=np.int64)
        return table[:, :-1].reshape(-1, SIZE, SIZE), table[:, -1]
    from sklearn.datasets import load_digits

    values, classes = load_digits(return_X_y=True)
    return values.reshape(-1, SIZE, SIZE).astype(np.int64), classes.astype(np.int64)
