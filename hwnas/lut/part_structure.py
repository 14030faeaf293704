"""What the parts of an RCNet space share, for a fit from whole-network times."""

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


def part_structure(space: RcnetSpace) -> Structure:
    """Return the structure of the space's keys, in the order of `lookup_keys`.

    The prior mean of a part is its work (MAdds by kind of convolution, bytes, operations) at
    unknown rates. Factors are shared by block, by resolution, and by block with the logarithm of
    the resolution; each part has one of its own.
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
    work = np.array([features(space.part_graph(key)) for key in keys]) * UNITS
    names = tuple(name for name, design in groups.items() for _ in range(design.shape[1]))
    return Structure(work, np.hstack(list(groups.values())), names)


def _indicators(values: Sequence[Hashable]) -> NDArray[np.float64]:
    known = list(dict.fromkeys(values))
    return np.array([[value == each for each in known] for value in values], float)
