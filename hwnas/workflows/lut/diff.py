"""`hwnas lut diff`: two tables of one space, key by key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from hwnas.errors import TableError
from hwnas.lut.library import Library
from hwnas.lut.storage import load

if TYPE_CHECKING:
    from hwnas.lut.table import Table
    from hwnas.spaces import Key
    from hwnas.workflows.lut.options import LutDiffOptions

CHEAPER = 0.02
"""A block type counts as relatively cheaper or dearer from this share on."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two tables with the same keys.

    Attributes:
        names: how the user named them, A and B.
        a: the first table.
        b: the second one, whose latencies are divided by those of the first.
    """

    names: tuple[str, str]
    a: Table
    b: Table

    @property
    def ratios(self) -> dict[Key, float]:
        """Latency of B over A by key."""
        return {
            key: self.b.rows[key].latency_ms / row.latency_ms for key, row in self.a.rows.items()
        }

    @property
    def median(self) -> float:
        """Median ratio."""
        return float(np.median(list(self.ratios.values())))

    def worst(self, count: int) -> list[Key]:
        """Return the keys that change most against the median, up or down."""
        ratios, median = self.ratios, self.median
        return sorted(ratios, key=lambda key: -abs(np.log(ratios[key] / median)))[:count]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison."""
        ratios, by_block = self.ratios, self._by_block()
        values = list(ratios.values())
        a_ms, b_ms = ([table.rows[key].latency_ms for key in ratios] for table in (self.a, self.b))
        return {
            "a": _about(self.names[0], self.a),
            "b": _about(self.names[1], self.b),
            "space": self.a.space.name,
            "keys": len(ratios),
            "median_ratio": self.median,
            "median_change": float(np.median(np.abs(np.array(values) - 1))),
            "smallest_ratio": min(values),
            "largest_ratio": max(values),
            "kendall_tau": float(stats.kendalltau(a_ms, b_ms).statistic),
            "worst": [str(key) for key in self.worst(5)],
            "by_block": by_block,
            "cheaper_in_b": [name for name, ratio in by_block.items() if ratio <= 1 - CHEAPER],
            "dearer_in_b": [name for name, ratio in by_block.items() if ratio >= 1 + CHEAPER],
            "rows": [
                {"key": str(key), "a_ms": a, "b_ms": b, "ratio": ratio}
                for (key, ratio), a, b in zip(ratios.items(), a_ms, b_ms, strict=True)
            ],
        }

    def _by_block(self) -> dict[str, float]:
        """Median ratio of each block over the median of all, the relatively cheapest in B first."""
        found: dict[str, list[float]] = {}
        for key, ratio in self.ratios.items():
            found.setdefault(key.block, []).append(ratio / self.median)
        medians = {block: float(np.median(values)) for block, values in found.items()}
        return dict(sorted(medians.items(), key=lambda item: item[1]))


def diff(options: LutDiffOptions) -> Difference:
    """Open two tables; without a space, targets are compared on the newest that both have.

    Raises:
        UserError: unknown target.
        TableError: a table is missing or damaged, or the two are not of one space.
    """
    library = Library(options.workspace)
    names = first, second = options.a, options.b
    opened = {name: load(Path(name)) for name in names if _is_folder(name)}
    targets = [name for name in names if name not in opened]
    wanted = options.space or next((table.space.name for table in opened.values()), None)
    for name in targets:
        opened[name] = library.find(name, wanted or _common_space(library, targets))
    a, b = opened[first], opened[second]
    if a.space != b.space:
        raise TableError(
            f"{first} is a table for {a.space.name}, {second} one for {b.space.name}: only tables "
            "of one space can be compared."
        )
    return Difference(names, a, b)


def _is_folder(name: str) -> bool:
    return "/" in name or Path(name, "meta.json").is_file() or Path(name, "table.csv").is_file()


def _common_space(library: Library, targets: list[str]) -> str:
    spaces = [{s for t, s in library.names() if t == target} for target in targets]
    common = sorted(set.intersection(*spaces))
    latest = library.latest()
    if latest is not None and (latest[1] in common or not common):
        return latest[1]
    return common[0] if common else "rcnet-imagenet"


def _about(name: str, table: Table) -> dict[str, Any]:
    return {
        "name": name,
        "target": table.target,
        "label": table.label,
        **{field: table.meta[field] for field in ("created", "runtime", "precision", "threads")},
    }
