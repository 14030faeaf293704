"""Costs: a number with a unit for a whole network.

Sums over the parts of a network, exact; or, of rows of a file, numbers of a column.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import units
from hwnas.cost.file_size import file_bytes
from hwnas.errors import UserError
from hwnas.graph import FP32
from hwnas.spaces.rcnet import part_indices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hwnas.graph import Graph, Precision
    from hwnas.lut.curve import Curve
    from hwnas.lut.table import Table
    from hwnas.spaces import Arch, Key, RcnetSpace
    from hwnas.spaces.tabular import TabularSpace


@dataclass(frozen=True, kw_only=True)
class Cost(ABC):
    """One resource. Numbers are in the base unit of its dimension.

    Attributes:
        name: "params", "latency", ...; with several devices "latency@iphone5s".
        dimension: its unit.
        margin: share added to a prediction for the bound that is compared with a budget.
        label: how the numbers are to be read: "exact", "measured", "ESTIMATED", "at most, ...".
        additive: whether blocks add up, so that a gain per marginal cost makes sense.
    """

    name: str
    dimension: units.Dimension
    margin: float = 0.0
    label: str = "exact"
    additive: bool = True

    @abstractmethod
    def of(self, arch: Arch) -> float:
        """Return the point estimate for a whole network."""

    @abstractmethod
    def many(self, archs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the point estimates of many networks, (networks, positions) in.

        Equal to `of` within rounding; what decides about a budget is `upper`.
        """

    @abstractmethod
    def cheapest(self) -> float:
        """Return the smallest point estimate over all networks of the space."""

    def upper(self, arch: Arch) -> float:
        """Return the bound that a budget is compared with."""
        return self.of(arch) * (1 + self.margin)

    def format(self, value: float) -> str:
        """Return a value with its unit."""
        return self.dimension.format(value)


@dataclass(frozen=True, kw_only=True)
class PartsCost(Cost):
    """Parts of a network add up, or only the largest counts (memory).

    Attributes:
        space: the space whose networks it costs.
        per_key: cost of each part, in the base unit.
        curve: applied to the sum; monotone. None: the sum is the cost.
    """

    space: RcnetSpace
    per_key: Mapping[Key, float] = field(repr=False)
    curve: Curve | None = None

    def of(self, arch: Arch) -> float:
        """Return the point estimate for a whole network."""
        per_key = self.per_key
        return self.total([per_key[key] for key in self.space.parts(arch)])

    def total(self, values: Sequence[float]) -> float:
        """Return the cost of a network from those of its parts; larger parts never cost less."""
        total = sum(values) if self.additive else max(values)
        return total if self.curve is None else self.curve.time_ms(total)

    def many(self, archs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the point estimates of many networks at once."""
        parts = self._values[part_indices(self.space, archs)]
        totals = parts.sum(axis=1) if self.additive else parts.max(axis=1)
        return totals if self.curve is None else self.curve.times_ms(totals)

    @cached_property
    def _values(self) -> NDArray[np.float64]:
        """Cost by number of the key; the last stands for no part."""
        return np.array([*(self.per_key[key] for key in self.space.lookup_keys()), 0.0])

    def cheapest(self) -> float:
        """Return the smallest cost of any network.

        A further block only adds to a cost, so one block per filled stage is enough, and given
        which stages are filled each of them chooses on its own.
        """
        values = []
        for skeleton in self.space.skeletons():
            alternatives = zip(*(self.space.parts(arch) for arch in skeleton), strict=True)
            cheapest = [min(self.per_key[key] for key in keys) for keys in alternatives]
            values.append(self.total(cheapest))
        return min(values)


@dataclass(frozen=True, kw_only=True)
class ColumnCost(Cost):
    """A column of a tabular space.

    Attributes:
        space: the table.
        values: by row.
    """

    space: TabularSpace
    values: NDArray[np.float64] = field(repr=False, compare=False)

    def of(self, arch: Arch) -> float:
        """Return the number in the network's row."""
        return float(self.values[self.space.rows[arch]])

    def many(self, archs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the numbers of many networks."""
        rows = self.space.rows
        return self.values[[rows[tuple(arch)] for arch in archs.tolist()]]

    def cheapest(self) -> float:
        """Return the smallest number of the column."""
        return float(self.values.min())


def params(space: RcnetSpace) -> PartsCost:
    """Return the trained parameters."""
    return _counted("params", units.PARAMS, space, lambda g: g.params)


def madds(space: RcnetSpace) -> PartsCost:
    """Return the multiply-accumulates of the convolutions."""
    return _counted("madds", units.MADDS, space, lambda g: g.madds)


def memory(space: RcnetSpace, precision: Precision = FP32) -> PartsCost:
    """Return the peak of live activations.

    Between two parts only one value lives, so the peak of a network is that of its worst part.
    """
    return _counted(
        "memory", units.MEMORY, space, lambda g: g.live_bytes(precision), additive=False
    )


def size(space: RcnetSpace, form: str = "onnx", precision: Precision = FP32) -> PartsCost:
    """Return an upper bound on the bytes of the exported file.

    Raises:
        UserError: files of this format and precision were never measured.
    """
    label = f"at most, as {form} {precision.name}"
    count = partial(file_bytes, form=form, precision=precision)
    return _counted("size", units.SIZE, space, count, label=label)


def latency(table: Table, confidence: float | None, *, name: str = "latency") -> PartsCost:
    """Return the latency by a table, bounded at `confidence` (None: the point estimate)."""
    margin = 0.0 if confidence is None else table.margin(confidence)
    per_key = {key: row.latency_ms for key, row in table.rows.items()}
    return PartsCost(
        name=name,
        dimension=units.LATENCY,
        space=table.space,
        per_key=per_key,
        margin=margin,
        label=table.label,
        curve=table.curve,
    )


def energy(table: Table, *, name: str = "energy") -> PartsCost:
    """Return the energy by a table.

    Raises:
        UserError: the table has no energy: an unknown cost is no zero.
    """
    per_key = {key: row.energy_mj for key, row in table.rows.items()}
    known = {key: value for key, value in per_key.items() if value is not None}
    if len(known) < len(per_key):
        raise UserError(
            f"energy on {table.target} is unknown: its table has none. Measure it (with a "
            f"power counter or --power-log) or set `watts` in profiles/{table.target}.toml, and "
            f"build the table again ({table.remedy})."
        )
    label = str(table.meta["energy_source"])
    return PartsCost(
        name=name,
        dimension=units.ENERGY,
        space=table.space,
        per_key=known,
        label=label,
        curve=_energy_curve(table),
    )


def _energy_curve(table: Table) -> Curve | None:
    """Return the curve of the latency at the table's mean power: energy is power times time."""
    if table.curve is None:
        return None
    rows = table.rows.values()
    mean_watts = sum(row.energy_mj or 0 for row in rows) / sum(row.latency_ms for row in rows)
    return table.curve.scaled(mean_watts)


def column_cost(space: TabularSpace, name: str, column: str) -> ColumnCost:
    """Return the cost that a column holds, in whatever unit it is written.

    Raises:
        UserError: no such column, a cell that is no number, or one below zero.
    """
    values = space.numbers(column)
    if values.min() < 0:
        raise UserError(
            f"{space.name}: column {column} holds {values.min():g}: a cost cannot be below zero."
        )
    return ColumnCost(
        name=name, dimension=units.plain(name), label=f"column {column}", space=space, values=values
    )


def _counted(
    name: str,
    dimension: units.Dimension,
    space: RcnetSpace,
    count: Callable[[Graph], int],
    **reading: Any,
) -> PartsCost:
    """Return what is counted on the graph of every part."""
    per_key = {key: float(count(space.part_graph(key))) for key in space.lookup_keys()}
    return PartsCost(name=name, dimension=dimension, space=space, per_key=per_key, **reading)
