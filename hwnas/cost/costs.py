"""Cost functions: a number with a unit for a whole network, exact as it is summed over parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hwnas import units
from hwnas.cost.file_size import file_bytes
from hwnas.errors import UserError
from hwnas.graph import FP32

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hwnas.graph import Graph, Precision
    from hwnas.lut.curve import Curve
    from hwnas.lut.table import Table
    from hwnas.spaces import Arch, Key, RcnetSpace


@dataclass(frozen=True)
class Cost:
    """One resource.

    Attributes:
        name: "params", "latency", ...; with several devices "latency@iphone5s".
        dimension: its unit.
        space: the space whose networks it costs.
        per_key: cost of each part, in the base unit.
        combine: parts of a network add up, or only the largest counts (memory).
        margin: share added to a prediction for the bound that is compared with a budget.
        label: how the numbers are to be read: "exact", "measured", "ESTIMATED", "at most, ...".
        curve: applied to the sum; monotone. None: the sum is the cost.
    """

    name: str
    dimension: units.Dimension
    space: RcnetSpace
    per_key: Mapping[Key, float] = field(repr=False)
    combine: Literal["sum", "max"] = "sum"
    margin: float = 0.0
    label: str = "exact"
    curve: Curve | None = None

    def of(self, arch: Arch) -> float:
        """Return the point estimate for a whole network."""
        return self.of_parts(self.space.parts(arch))

    def of_parts(self, parts: tuple[Key, ...]) -> float:
        """Return the point estimate for the keys of a whole network."""
        per_key = self.per_key
        return self.total([per_key[key] for key in parts])

    def total(self, values: Sequence[float]) -> float:
        """Return the cost of a network from those of its parts; larger parts never cost less."""
        total = sum(values) if self.combine == "sum" else max(values)
        return total if self.curve is None else self.curve.time_ms(total)

    def upper(self, arch: Arch) -> float:
        """Return the bound that a budget is compared with."""
        return self.of(arch) * (1 + self.margin)

    def format(self, value: float) -> str:
        """Return a value with its unit."""
        return self.dimension.format(value)


def params(space: RcnetSpace) -> Cost:
    """Return the trained parameters."""
    return Cost("params", units.PARAMS, space, _from_graphs(space, lambda g: g.params))


def madds(space: RcnetSpace) -> Cost:
    """Return the multiply-accumulates of the convolutions."""
    return Cost("madds", units.MADDS, space, _from_graphs(space, lambda g: g.madds))


def memory(space: RcnetSpace, precision: Precision = FP32) -> Cost:
    """Return the peak of live activations.

    Between two parts only one value lives, so the peak of a network is that of its worst part.
    """
    per_key = _from_graphs(space, lambda g: g.live_bytes(precision))
    return Cost("memory", units.MEMORY, space, per_key, combine="max")


def size(space: RcnetSpace, form: str = "onnx", precision: Precision = FP32) -> Cost:
    """Return an upper bound on the bytes of the exported file.

    Raises:
        UserError: files of this format and precision were never measured.
    """
    per_key = _from_graphs(space, lambda g: file_bytes(g, form, precision))
    return Cost("size", units.SIZE, space, per_key, label=f"at most, as {form} {precision.name}")


def latency(table: Table, confidence: float | None, *, name: str = "latency") -> Cost:
    """Return the latency by a table, bounded at `confidence` (None: the point estimate)."""
    margin = 0.0 if confidence is None else table.margin(confidence)
    per_key = {key: row.latency_ms for key, row in table.rows.items()}
    return Cost(
        name,
        units.LATENCY,
        table.space,
        per_key,
        margin=margin,
        label=table.label,
        curve=table.curve,
    )


def energy(table: Table, *, name: str = "energy") -> Cost:
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
    return Cost(name, units.ENERGY, table.space, known, label=label, curve=_energy_curve(table))


def _energy_curve(table: Table) -> Curve | None:
    """Return the curve of the latency at the table's mean power: energy is power times time."""
    if table.curve is None:
        return None
    rows = table.rows.values()
    mean_watts = sum(row.energy_mj or 0 for row in rows) / sum(row.latency_ms for row in rows)
    return table.curve.scaled(mean_watts)


def _from_graphs(space: RcnetSpace, count: Callable[[Graph], int]) -> dict[Key, float]:
    return {key: float(count(space.part_graph(key))) for key in space.lookup_keys()}
