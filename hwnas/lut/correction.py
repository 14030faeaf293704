"""Correct part timings by whole networks, so that the table sums to what a network takes.

Parts timed alone miss what happens between them: fused operations, layouts, warm caches, the cost
of a call. A few dozen whole networks tell the difference. Each part is its own timing times
factors that it shares with parts like it (`additive`: how much is shared, and how far the timings
can be trusted, is found by marginal likelihood), so that few networks inform many parts. A curve
for networks that are much smaller or larger than the typical one is fitted in turn with them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.lut.additive import Structure, fit_parts
from hwnas.lut.analytical import features
from hwnas.lut.curve import fit_curve

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from hwnas.lut.additive import PartTimes
    from hwnas.lut.curve import Curve
    from hwnas.spaces import Key, RcnetSpace

CURVE_PASSES = 3
"""How often curve and parts are fitted in turn."""
UNITS = np.array([1.0, 1.0, 1.0, 1.0, 1e-3])
"""A billion multiply-accumulates, a billion bytes and a thousand operations count as one unit of
work each: each takes about as long as the others on a CPU, give or take a factor of 50."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Corrected times of the parts, and what was done to get them.

    Attributes:
        parts: the fit, in the order of the space's keys.
        curve: from the sum of the parts to a network's time; None: they are equal.
        networks: whole networks used.
    """

    parts: PartTimes
    curve: Curve | None
    networks: int

    @property
    def corrected_ms(self) -> NDArray[np.float64]:
        """The times of the parts, by key."""
        return self.parts.parts_ms

    def predict_ms(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the times of networks, given how often each contains each key."""
        sums = counts @ self.corrected_ms
        return sums if self.curve is None else self.curve.times_ms(sums)

    def to_json(self) -> dict[str, Any]:
        """Return how the correction went, without the parts."""
        return {
            "networks": self.networks,
            "curve": None if self.curve is None else asdict(self.curve),
            **self.parts.to_json(),
        }


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
    if raw_ms is not None:
        return Structure.grouped(raw_ms[:, None], groups)
    works = np.array([features(space.part_graph(key)) for key in keys])
    return Structure.grouped(works * UNITS, groups)


def _indicators(values: Sequence[Hashable]) -> NDArray[np.float64]:
    known = list(dict.fromkeys(values))
    return np.array([[value == each for each in known] for value in values], float)


def count_matrix(keys: Sequence[Key], networks: Sequence[Sequence[Key]]) -> NDArray[np.float64]:
    """Return how often each network (row) contains each key (column)."""
    column = {key: index for index, key in enumerate(keys)}
    counts = np.zeros((len(networks), len(keys)))
    for row, parts in enumerate(networks):
        for key in parts:
            counts[row, column[key]] += 1
    return counts


def correct(
    space: RcnetSpace,
    raw_ms: NDArray[np.float64],
    counts: NDArray[np.float64],
    measured_ms: NDArray[np.float64],
) -> Correction:
    """Fit the correction.

    Args:
        space: whose keys the table has.
        raw_ms: time of each key alone.
        counts: (networks, keys) how often each whole network contains each key.
        measured_ms: time of each whole network.
    """
    structure, curve = part_structure(space, raw_ms), None
    parts = fit_parts(structure, counts, measured_ms)
    for _ in range(CURVE_PASSES):
        found = fit_curve(counts @ parts.parts_ms, measured_ms)
        if found is None:
            break
        curve = found
        parts = fit_parts(structure, counts, curve.sums_ms(measured_ms))
    return Correction(parts, curve, len(measured_ms))


def affine_ms(
    raw_ms: NDArray[np.float64], counts: NDArray[np.float64], measured_ms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the parts after one scale and one offset for all: what the correction is held to."""
    features = np.stack([counts @ raw_ms, counts.sum(axis=1)], axis=1) / measured_ms[:, None]
    (scale, offset), *_ = np.linalg.lstsq(features, np.ones(len(measured_ms)), rcond=None)
    return np.asarray(scale * raw_ms + offset)
