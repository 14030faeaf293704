"""What was asked of a search among the rows of a table: columns and plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.cost import Budget, Problem, column_cost
from hwnas.errors import UserError, one_of
from hwnas.evaluate.tabular import TabularEvaluator
from hwnas.options import given
from hwnas.search.rules import OTHER_RULES, RATIO_RULES
from hwnas.search.strategy import find_strategy
from hwnas.spaces import TABULAR
from hwnas.spaces.tabular import read_tabular
from hwnas.workflows.search.request import Opened, Request

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.spaces.tabular import TabularSpace
    from hwnas.workflows.search.options import PickOptions, SearchOptions

EXAMPLE = (
    "hwnas search --space tabular:grid.csv --ops op1,op2,op3 --empty skip --score accuracy "
    "--cost latency=latency_ms --budget latency=12.5"
)

NEEDED = ("--ops", "--empty", "--score", "--cost", "--budget")

MEANT = frozenset(
    {
        *("--space", *NEEDED),
        *("--strategy", "--rules", "--max-evaluations", "--refreshes", "--batch", "--seed"),
        *("--workers", "--ray", "--run", "--workspace"),
    }
)
"""Options that mean something to a search in a table."""


@dataclass(frozen=True, kw_only=True)
class TableRequest(Request):
    """A search within budgets that are plain numbers.

    Scores are exact and cost nothing, so that by default old gains are evaluated again until the
    best one is fresh, nothing is scored twice, and there is no limit.

    Attributes:
        columns: those that hold operations.
        costs: column by name of the cost.
        budgets: limit by name of the cost, in the unit of its column.
    """

    empty: str
    score: str
    columns: tuple[str, ...]
    costs: dict[str, str]
    budgets: dict[str, float]

    @classmethod
    def of(cls, options: SearchOptions) -> Self:
        """Return what the options mean.

        Raises:
            UserError: one is missing or not right, or has no meaning for a table.
        """
        asked = given(options)
        if asked.get("--evaluator") == "tabular":
            del asked["--evaluator"]
        _refuse(asked)
        file = str(options.space).removeprefix(TABULAR)
        columns = [name.strip() for name in (options.ops or "").split(",") if name.strip()]
        missing = [] if file else ["a file"]
        missing += [name for name in NEEDED if not (columns if name == "--ops" else name in asked)]
        if missing:
            raise UserError(
                f"--space {options.space} needs {', '.join(missing)}. For instance: {EXAMPLE}"
            )
        find_strategy(options.strategy)
        settled = {
            # Absolute, so that `hwnas pick` finds it from any folder.
            "space": f"{TABULAR}{Path(file).expanduser().absolute()}",
            "evaluator": "tabular",
            "columns": tuple(columns),
            "empty": (options.empty or "").strip(),
            "costs": _by_name("--cost", "latency=latency_ms", options.cost),
            "budgets": _numbers(options.budget),
            "refreshes": options.refreshes or 0,
            "replicates": 1,
            "batch": options.batch or 1,
        }
        return cls(**vars(options) | settled)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.costs:
            _require_cost_name(name)
        for name, limit in self.budgets.items():
            if name not in self.costs:
                raise one_of("cost", name, list(self.costs), "Budgets are for costs of --cost.")
            if not 0 < limit < math.inf:
                raise UserError(f"--budget {name}={limit:g}: a budget must be above zero.")
        for column in (self.score, *self.costs.values()):
            if column in self.columns:
                raise UserError(f"column {column} holds operations: it is no score and no cost.")

    @property
    def run_name(self) -> str:
        """Readable start of the run folder's name."""
        return self._table.name

    @property
    def limit(self) -> int | None:
        """Networks that a strategy may ask for; None for no limit."""
        return self.max_evaluations

    @property
    def processes(self) -> int:
        """Workers, 0 for this process: it looks a score up sooner than another could be asked."""
        return self.workers or 0

    @property
    def file(self) -> Path:
        """The CSV file."""
        return Path(self.space.removeprefix(TABULAR))

    @cached_property
    def _table(self) -> TabularSpace:
        return read_tabular(self.file, self.columns, self.empty)

    def open(self, reporter: Reporter) -> Opened:  # noqa: ARG002
        """Read the file.

        Raises:
            UserError: it cannot be read, a column is missing, or a cell is no number.
        """
        space = self._table
        space.numbers(self.score)
        costs = {name: column_cost(space, name, column) for name, column in self.costs.items()}
        # Sorted: the same options in another order are the same search, and the same run.
        budgets = tuple(Budget(costs[name], limit) for name, limit in sorted(self.budgets.items()))
        ordered = {name: costs[name] for name in (*sorted(self.budgets), *sorted(costs))}
        return Opened(Problem(space, budgets), list(ordered.values()), {space.name: space.sha256})

    def scores(self) -> TabularEvaluator:
        """Return what looks scores up."""
        return TabularEvaluator(self._table, self.score)

    def within(self, options: PickOptions) -> Self:
        """Return the request with other budgets; those that are not named again stay.

        Raises:
            UserError: a budget with a unit, for an unknown cost, or that is no number.
        """
        _refuse(given(options))
        return replace(self, budgets=self.budgets | _numbers(options.budget))

    def describe(self, arch: str) -> str:
        """Return the operations by column."""
        pairs = zip(self.columns, arch.split(","), strict=True)
        return ", ".join(f"{column}={operation}" for column, operation in pairs)

    def after_search(self, run: Run) -> str:  # noqa: ARG002
        """Return how to ask for another budget."""
        return f"hwnas pick --budget {next(iter(self.budgets))}=VALUE, for another budget"

    def after_pick(self, arch: str) -> str:  # noqa: ARG002
        """Return how to look further than what was scored."""
        return "hwnas search within these budgets, for networks that this run did not score"


def _refuse(asked: Iterable[str]) -> None:
    """Refuse options that are for networks that can be built."""
    option = next((name for name in asked if name not in MEANT), None)
    if option is None:
        return
    if option.startswith("--budget-"):
        resource = option.removeprefix("--budget-")
        raise UserError(
            f"{option} is for networks that are built and measured. A table's costs are plain "
            f"numbers: --cost {resource}=COLUMN --budget {resource}=VALUE."
        )
    raise UserError(
        f"{option} has no meaning with a table: its scores and costs are columns of the file."
    )


def _numbers(texts: Iterable[str]) -> dict[str, float]:
    """Return the numbers of "NAME=VALUE", by name."""
    named = _by_name("--budget", "latency=12.5", texts)
    return {name: _number(name, text) for name, text in named.items()}


def _by_name(option: str, example: str, texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = (part.strip() for part in text.partition("="))
        if not (name and separator and value):
            raise UserError(f"{option} {text!r}: write for instance {option} {example}.")
        if name in found:
            raise UserError(f"two {option} for {name}: give one.")
        found[name] = value
    return found


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"--budget {name}={text}: {text!r} is no number. A table's costs are plain numbers, in "
            f"the unit of their column: for instance --budget {name}=12.5."
        ) from None


def _require_cost_name(name: str) -> None:
    reserved = (*OTHER_RULES, *RATIO_RULES)
    if name in reserved or not name.isprintable() or any(char in name for char in ", "):
        raise UserError(
            f"--cost {name}=...: a cost needs a name without spaces and commas, and other than "
            f"those of rules ({', '.join(reserved)})."
        )
