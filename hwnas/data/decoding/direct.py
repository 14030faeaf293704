"""A few images straight from their files, where decoding a whole data set would be a waste."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.data.decoding.decode import require_pillow, square
from hwnas.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.data.sources.source import Source


def decoded_rows(source: Source, rows: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    """Return images (n, side, side, 3), the same as those that `fill` writes for large images.

    Raises:
        UserError: one is damaged, or cannot be read.
    """
    require_pillow()
    result = np.empty((len(rows), side, side, 3), np.uint8)
    for place, row in enumerate(rows.tolist()):
        (item,) = source.piece(row, row + 1)
        found = square(item, side, draft=True)
        if isinstance(found, str):
            raise UserError(
                f"image {source.where(row)} of {source.title} cannot be decoded: {found}. Mend or "
                "remove it."
            )
        result[place] = found
    return result
