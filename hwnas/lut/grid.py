"""A table for any benchmark whose networks choose one op per position.

An element is an op at a position. Its time has factors shared by op, by position (in steps: from
some position on everything costs more or less, which is what a stage does) and by op with depth
(an op whose cost falls as the maps shrink), and one of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.lut.accuracy import Accuracy, compare
from hwnas.lut.additive import PartTimes, Structure, fit_parts
from hwnas.lut.timing_files import rounding_error, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hwnas.lut.timing_files import GridTimings

Element = tuple[int, str]
"""(position, op)."""


@dataclass(frozen=True)
class Grid:
    """Elements and how networks are made of them.

    Attributes:
        positions: how many there are.
        elements: every (position, op) of the networks, the empty op excepted.
        counts: (networks, 1 + elements) of 0 and 1; the first column is the fixed part.
    """

    positions: int
    elements: tuple[Element, ...]
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, ops: NDArray[np.str_], empty: str | None) -> Grid:
        """Return the grid of networks.

        Args:
            ops: (networks, positions).
            empty: op that takes no time, if there is one.
        """
        positions = ops.shape[1]
        elements = tuple(
            (position, str(op))
            for position in range(positions)
            for op in np.unique(ops[:, position])
            if op != empty
        )
        columns = [np.ones(len(ops)), *(ops[:, p] == op for p, op in elements)]
        return cls(positions, elements, np.stack(columns, axis=1).astype(float))

    def structure(self) -> Structure:
        """Return what the elements share; the fixed part shares nothing."""
        depth = np.array([position for position, _ in self.elements])
        names = [op for _, op in self.elements]
        by_op = np.array([[name == op for op in sorted(set(names))] for name in names], float)
        by_step = (depth[:, None] >= np.arange(1, self.positions)).astype(float)
        centred = depth / max(self.positions - 1, 1) - 0.5
        groups = {
            "op": by_op,
            "step": by_step,
            "op with depth": by_op * centred[:, None],
            "element": np.eye(len(names)),
        }
        work = np.zeros((1 + len(names), 2))
        work[0, 0] = work[1:, 1] = 1
        with_fixed = {name: np.pad(design, ((1, 0), (0, 0))) for name, design in groups.items()}
        return Structure.grouped(work, with_fixed)


@dataclass(frozen=True)
class GridFit:
    """Fitted elements, and how well they predict networks that were held out.

    Attributes:
        grid: the elements.
        times: of the fixed part, then of each element.
        seen: training networks that contain each of them.
        training: networks of the fit.
        accuracy: errors on the networks that were held out.
        median_error: median of those relative errors.
        r2: share of their variance that is explained.
    """

    grid: Grid
    times: PartTimes
    seen: NDArray[np.intp]
    training: int
    accuracy: Accuracy
    median_error: float
    r2: float


def fit_elements(
    counts: NDArray[np.float64],
    grid: Grid,
    times_ms: NDArray[np.float64],
    step_ms: float,
    on_step: Callable[[], None] | None = None,
) -> PartTimes:
    """Return the times of the fixed part and of the elements.

    Args:
        counts: (networks, 1 + elements), rows of `grid.counts`.
        grid: the elements.
        times_ms: (networks,).
        step_ms: precision of the times.
        on_step: called after each iteration.
    """
    known = rounding_error(times_ms, step_ms)
    return fit_parts(grid.structure(), counts, times_ms, known, on_step)


def fit_grid(
    timings: GridTimings, empty: str | None, on_step: Callable[[], None] | None = None
) -> GridFit:
    """Fit the elements on three quarters of the networks and check them on the others."""
    grid, measured = Grid.of(timings.ops, empty), timings.times_ms
    train, held_out = split(len(measured))
    times = fit_elements(grid.counts[train], grid, measured[train], timings.step_ms, on_step)
    predicted, truth = grid.counts[held_out] @ times.parts_ms, measured[held_out]
    return GridFit(
        grid=grid,
        times=times,
        seen=grid.counts[train].sum(axis=0).astype(int),
        training=len(train),
        accuracy=compare(predicted, truth),
        median_error=float(np.median(np.abs(predicted / truth - 1))),
        r2=explained(predicted, truth),
    )


def explained(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return R2: one minus the squared errors over those of the mean."""
    return float(1 - ((predicted - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
