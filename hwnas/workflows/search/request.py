"""What decides the result of a search: its options, every default filled in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hwnas.units import DIMENSIONS
from hwnas.workflows.search.options import SearchOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from hwnas.cost import Cost, Problem

IRRELEVANT = frozenset({"workers", "ray", "run", "force", "workspace"})
"""Options that never change a result."""

SAID_OTHERWISE = frozenset(
    {
        *(f"budget_{resource}" for resource in DIMENSIONS),
        *("input_size", "classes", "width"),
        *("ops", "cost", "budget"),
        *("held_out_per_class", "skip_damaged"),
    }
)
"""Options whose meaning other fields of a request hold: its limits, its space, its columns, ..."""


class Opened(NamedTuple):
    """A request with the files that it names, read and checked.

    Attributes:
        problem: space and budgets.
        costs: every cost that can be told of a network, the budgeted ones first.
        files: fingerprint of the content of every file that costs are from.
    """

    problem: Problem
    costs: Sequence[Cost]
    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Request(SearchOptions):
    """What searches among all kinds of networks have in common."""

    space: str
    evaluator: str
    refreshes: int
    replicates: int
    batch: int

    def to_json(self, opened: Opened) -> dict[str, Any]:
        """Return what decides the result, with the identity of its files, as JSON is read."""
        left_out = IRRELEVANT | SAID_OTHERWISE
        values = {name: value for name, value in asdict(self).items() if name not in left_out}
        return {
            **json.loads(json.dumps(values, default=str)),
            "selection": self.selection.to_json(),
            "tables": dict(opened.files),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_json` was given."""
        names = {field.name for field in fields(cls)}
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name in names
        }
        data_dir = values["data_dir"]
        known["data_dir"] = None if data_dir is None else Path(data_dir)
        return cls(**known, **values["selection"])

    @property
    def rule_names(self) -> tuple[str, ...]:
        """Greedy rules, or none for the default ones."""
        return tuple(self.rules.replace(" ", "").split(",")) if self.rules else ()
