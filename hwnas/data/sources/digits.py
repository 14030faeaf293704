"""The handwritten digits that come with scikit-learn, without the rest of it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 8
BRIGHTEST = 16


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
