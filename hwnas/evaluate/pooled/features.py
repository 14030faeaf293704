"""What a network's quality may depend on: its size, and how deep each stage is and of what.

Every block that is added to a stage is worth less than the one before it: the n-th block of a
stage counts n^(-1/2). The types of a stage share what its blocks count, so that neither the order
of the blocks nor what an empty position is numbered matters.
"""

from __future__ import annotations

from functools import lru_cache
from math import log
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hwnas.evaluate.zero_cost import activations
from hwnas.spaces.blocks import BLOCK_TYPES
from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.spaces import Arch, RcnetSpace

Features: TypeAlias = "list[NDArray[np.float64]]"
"""One matrix (networks, columns) per group of effects that are alike beforehand."""

DIMINISHING = 0.5
"""The n-th block of a stage counts n to the minus this."""

_WORTH = np.concatenate([[0.0], np.cumsum(np.arange(1, STAGE_POSITIONS + 1) ** -DIMINISHING)])


def describe(space: RcnetSpace, archs: Sequence[Arch]) -> Features:
    """Return the features of networks.

    Groups: log of activations, log of MAdds, log of parameters; depth per stage; depth per type;
    depth per stage and type.
    """
    size = np.array([_size(space, arch) for arch in archs])
    filled = np.asarray(archs).reshape(len(archs), STAGES, STAGE_POSITIONS)
    counts = np.stack([(filled == block).sum(2) for block in BLOCK_TYPES], axis=2)
    blocks = counts.sum(2)
    depth = _WORTH[blocks]
    shared = counts * (depth / np.maximum(blocks, 1))[:, :, None]
    return [
        size[:, :1],
        size[:, 1:2],
        size[:, 2:],
        depth,
        shared.sum(1),
        shared.reshape(len(archs), -1),
    ]


@lru_cache(maxsize=1 << 16)
def _size(space: RcnetSpace, arch: Arch) -> tuple[float, float, float]:
    graph = space.graph(arch)
    return log(activations(space, arch)), log(graph.madds), log(graph.params)
