"""What a network is made of, coarse to fine, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.spaces import Arch, Space

Features: TypeAlias = "list[NDArray[np.float64]]"
"""One matrix (networks, columns) per level of description."""

SMALLEST_SHARE = 1e-3
"""Of a budget: below, costs are alike."""


class Describer:
    """Counts of types in the whole network, per group of positions and per position; log costs.

    The coarse levels let a few scores speak about many networks, the fine ones tell these apart;
    how much each level counts is learnt. Costs are known for all networks, and scores follow them.
    """

    def __init__(self, space: Space) -> None:
        self._types = np.array(sorted({block for types in space.choices for block in types}))
        positions = len(space.choices)
        groups = np.zeros((len(space.groups), positions))
        for number, group in enumerate(space.groups):
            groups[number, list(group)] = 1
        self._levels = [np.ones((1, positions)), np.eye(positions)]
        if 1 < len(groups) < positions:
            self._levels.insert(1, groups)

    def __call__(self, archs: Sequence[Arch], uses: Sequence[tuple[float, ...]]) -> Features:
        """Return the features of networks with their shares of the budgets."""
        holds = (np.asarray(archs)[:, :, None] == self._types).astype(float)
        counts = [
            np.einsum("gp,npt->ngt", level, holds).reshape(len(holds), -1) for level in self._levels
        ]
        shares = np.asarray(uses, float).reshape(len(holds), -1)
        return [*counts, np.log(np.maximum(shares, SMALLEST_SHARE))]


def warp(
    scores: NDArray[np.float64], stderrs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores and standard errors on the scale that is modelled: mean 0, variance 1.

    The logarithm of the gap to the best, in units of the median gap: whatever the unit of the
    score, differences near the top count most, and a long tail of bad networks counts little.
    """
    gaps = scores.max() - scores
    scale = float(np.median(gaps)) or float(gaps.mean()) or 1.0
    values, slope = -np.log1p(gaps / scale), 1 / (scale + gaps)
    spread = float(values.std()) or 1.0
    return (values - values.mean()) / spread, stderrs * slope / spread
