"""What was asked of a search among the rows of a table: columns and plain numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.cost import Budget, Problem
from hwnas.cost.columns import column_cost
from hwnas.errors import UserError, one_of
from hwnas.evaluate.tabular import TabularEvaluator
from hwnas.search import defaults
from hwnas.search.rules import OTHER_RULES, RATIO_RULES, default_rules, make_rules
from hwnas.search.strategy import Options, find_strategy
from hwnas.spaces import TABULAR
from hwnas.spaces.tabular import read_tabular
from hwnas.workflows.search.engine import Search
from hwnas.workflows.search.network_request import require_positive
from hwnas.workflows.search.request import Opened
from hwnas.workflows.search.score_provenance import MadeWith
from hwnas.workflows.search.tabular_options import parse_numbers, refuse_with_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.spaces.tabular import TabularSpace


@dataclass(frozen=True)
class TabularRequest:
    """All options that decide the result of a search in a table.

    Scores are exact and cost nothing, so that by default old gains are evaluated again until the
    best one is fresh, nothing is scored twice, and there is no limit.

    Attributes:
        file: the CSV file.
        ops: columns that hold operations.
        empty: the operation that stands for an empty position.
        score: column that is maximised.
        costs: column by name of the cost.
        budgets: limit by name of the cost, in the unit of its column.
        strategy: name of a strategy.
        rules: rule names, or empty for the default ones.
        max_evaluations: limit on candidates, or None.
        max_refreshes: old gains to evaluate again per step and rule, or None for exact greedy.
        batch: networks that the surrogate chooses at a time.
        seed: of random choices.
    """

    file: Path
    ops: tuple[str, ...]
    empty: str
    score: str
    costs: dict[str, str]
    budgets: dict[str, float]
    strategy: str = defaults.STRATEGY
    rules: tuple[str, ...] = ()
    max_evaluations: int | None = None
    max_refreshes: int | None = None
    batch: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive("--max-evaluations", self.max_evaluations)
        find_strategy(self.strategy)
        for name in self.costs:
            _require_cost_name(name)
        for name, limit in self.budgets.items():
            if name not in self.costs:
                raise one_of("cost", name, list(self.costs), "Budgets are for costs of --cost.")
            if not 0 < limit < math.inf:
                raise UserError(f"--budget {name}={limit:g}: a budget must be above zero.")
        for column in (self.score, *self.costs.values()):
            if column in self.ops:
                raise UserError(f"column {column} holds operations: it is no score and no cost.")

    def to_json(self, opened: Opened) -> dict[str, Any]:
        """Return the request with the fingerprint of its file, as JSON."""
        return {
            "space": f"{TABULAR}{self.file}",
            **{name: value for name, value in asdict(self).items() if name != "file"},
            "ops": list(self.ops),
            "rules": list(self.rules),
            "tables": dict(opened.files),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_json` was given."""
        given = {k: v for k, v in values.items() if k not in ("space", "tables")}
        lists = {name: tuple(values[name]) for name in ("ops", "rules")}
        return cls(Path(values["space"].removeprefix(TABULAR)), **given | lists)

    @property
    def run_name(self) -> str:
        """Readable start of the run folder's name."""
        return self._space.name

    @cached_property
    def _space(self) -> TabularSpace:
        return read_tabular(self.file, self.ops, self.empty)

    def open(
        self,
        workspace: Path,
        reporter: Reporter,  # noqa: ARG002
        *,
        force: bool = False,  # noqa: ARG002
    ) -> Opened:
        """Read the file.

        Raises:
            UserError: it cannot be read, a column is missing, or a cell is no number.
        """
        space = self._space
        space.numbers(self.score)
        costs = {name: column_cost(space, name, column) for name, column in self.costs.items()}
        # Sorted: the same options in another order are the same search, and the same run.
        budgets = tuple(Budget(costs[name], limit) for name, limit in sorted(self.budgets.items()))
        ordered = {name: costs[name] for name in (*sorted(self.budgets), *sorted(costs))}
        return Opened(
            Problem(space, budgets), list(ordered.values()), {space.name: space.sha256}, workspace
        )

    def search(
        self,
        opened: Opened,
        workers: int | None,
        reporter: Reporter,  # noqa: ARG002
    ) -> Search:
        """Return the search.

        Raises:
            UserError: unknown rule.
        """
        problem = opened.problem
        rules = make_rules(problem, self.rules) if self.rules else default_rules(problem)
        return Search(
            problem=problem,
            costs=opened.costs,
            strategy=self.strategy,
            options=Options(tuple(rules), self.seed, self.max_refreshes, batch=self.batch),
            evaluator=TabularEvaluator(self._space, self.score),
            judge=None,
            max_evaluations=self.max_evaluations,
            workers=workers or 0,
            score_source=f"column {self.score}",
            made_with=MadeWith("tabular", self.seed, f"column {self.score} of {self.file.name}"),
        )

    def within(self, quantities: Mapping[str, Sequence[str]], numbers: Sequence[str]) -> Self:
        """Return the request with other budgets; those that are not named again stay.

        Raises:
            UserError: a budget with a unit, for an unknown cost, or that is no number.
        """
        refuse_with_table({f"--budget-{resource}": text for resource, text in quantities.items()})
        return replace(self, budgets=self.budgets | parse_numbers(numbers))

    def describe(self, arch: str) -> str:
        """Return the operations by column."""
        pairs = zip(self.ops, arch.split(","), strict=True)
        return ", ".join(f"{column}={operation}" for column, operation in pairs)

    def after_search(self, run: Run) -> str:  # noqa: ARG002
        """Return how to ask for another budget."""
        return f"hwnas pick --budget {next(iter(self.budgets))}=VALUE, for another budget"

    def after_pick(self, arch: str) -> str:  # noqa: ARG002
        """Return how to look further than what was scored."""
        return "hwnas search within these budgets, for networks that this run did not score"


def _require_cost_name(name: str) -> None:
    reserved = (*OTHER_RULES, *RATIO_RULES)
    if name in reserved or not name.isprintable() or any(char in name for char in ", "):
        raise UserError(
            f"--cost {name}=...: a cost needs a name without spaces and commas, and other than "
            f"those of rules ({', '.join(reserved)})."
        )
