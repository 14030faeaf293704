"""What files are made of, in 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.targets.shared.format import Content
from hwnas.targets.shared.quantisation import calibrate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights


def in_8_bits(
    graph: Graph, weights: Weights, batch: NDArray[np.float32] | None = None, *about: Any
) -> Content:
    """Return the content calibrated by a batch; `about` are images and metadata."""
    stored = calibrate(graph, weights, batch)
    return Content(graph, weights, *about, precision="int8", stored=stored)
