"""What the parts of an RCNet space share, for fits to whole-network times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.lut.additive import Structure
from hwnas.lut.analytical import features

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from hwnas.spaces import RcnetSpace

UNITS = np.array([1.0, 1.0, 1.0, 1.0, 1e-3])
"""A billion multiply-accumulates, a billion bytes and a thousand operations count as one unit of
work each: each takes about as long as the others on a CPU, give or take a factor of 50."""


def part_structure(space: RcnetSpace, raw_ms: NDArray[np.float64] | None = None) -> Structure:
    """Return the structure of the space's keys, in the order of `lookup_keys`.

    The prior mean of a part is its work at unknown rates: its own time, where it was timed alone
    (`raw_ms`), else MAdds by kind of convolution, bytes and operations. Factors are shared by
    block, by resolution, and by block with the logarithm of the resolution; each part has one of
    its own.
    """
    keys = space.lookup_keys()
    size = np.log([key.resolution for key in keys])
    by_block = _indicators([key.block for key in keys])
    groups = {
        "block": by_block,
        "resolution": _indicators([key.resolution for key in keys]),
        "block with resolution": by_block * (size - size.mean())[:, None],
        "part": np.eye(len(keys)),
    }
    names = tuple(name for name, design in groups.items() for _ in range(design.shape[1]))
    work = _work(space) if raw_ms is None else raw_ms[:, None]
    return Structure(work, np.hstack(list(groups.values())), names)


def _work(space: RcnetSpace) -> NDArray[np.float64]:
    works = [features(space.part_graph(key)) for key in space.lookup_keys()]
    return np.asarray(np.array(works) * UNITS)


def _indicators(values: Sequence[Hashable]) -> NDArray[np.float64]:
    known = list(dict.fromkeys(values))
    return np.array([[value == each for each in known] for value in values], float)
