"""What was asked of a search among networks that can be built: plain values, and their meaning."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.cores import usable_cores
from hwnas.data.selection import USUAL, Selection
from hwnas.device import find_target
from hwnas.errors import UserError, one_of
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.proxy import proxy_resolution, proxy_space
from hwnas.files import fingerprint
from hwnas.lut.library import Library
from hwnas.search import defaults
from hwnas.search.rules import default_rules, make_rules
from hwnas.search.strategy import Options, find_strategy
from hwnas.spaces import find_space
from hwnas.workflows.asked import Opened
from hwnas.workflows.budgets import (
    Limit,
    all_costs,
    check_tables,
    find_tables,
    make_problem,
    parse_limits,
)
from hwnas.workflows.search import Search
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.spaces import RcnetSpace

EVALUATORS = ("train", "fake")


@dataclass(frozen=True, slots=True)
class Request:
    """All options that decide the result of a search.

    Attributes:
        space: name of the deployment space.
        target: the run's own target, or None.
        limits: the budgets.
        strategy: name of a strategy.
        dataset: data that candidates are scored on.
        data_dir: where it lies.
        selection: what is held out or left out of it.
        evaluator: "train" or "fake".
        images: training images per candidate, or None for the recipe's own number.
        rules: rule names, or empty for the default ones.
        max_evaluations: limit on candidates, or None.
        max_refreshes: old gains to evaluate again per step and rule, or None for exact greedy.
        replicates: scores per network at most, where a choice hangs on noise.
        batch: networks that the surrogate chooses at a time.
        confidence: of latency bounds, or None for the default of the table.
        seed: of weights and batches.
    """

    space: str
    target: str | None
    limits: tuple[Limit, ...]
    strategy: str = defaults.STRATEGY
    dataset: str = defaults.DATASET
    data_dir: Path | None = None
    selection: Selection = USUAL
    evaluator: str = "train"
    images: int | None = None
    rules: tuple[str, ...] = ()
    max_evaluations: int | None = defaults.MAX_EVALUATIONS
    max_refreshes: int | None = defaults.MAX_REFRESHES
    replicates: int = defaults.REPLICATES
    batch: int = defaults.BATCH
    confidence: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive("--images", self.images)
        require_positive("--max-evaluations", self.max_evaluations)
        find_strategy(self.strategy)
        if self.evaluator not in EVALUATORS:
            remedy = "tabular comes with --space tabular:FILE.csv."
            raise one_of("evaluator", self.evaluator, list(EVALUATORS), remedy)

    def to_json(self, opened: Opened) -> dict[str, Any]:
        """Return the request with the identity of its tables, as JSON."""
        # Options that came later are left out where nobody used them: a run keeps its name.
        chosen = self.selection.to_json()
        values = {name: value for name, value in asdict(self).items() if name != "selection"}
        return {
            **values,
            **({"selection": chosen} if chosen else {}),
            "limits": [asdict(limit) for limit in self.limits],
            "rules": list(self.rules),
            "data_dir": None if self.data_dir is None else str(self.data_dir),
            "tables": dict(opened.files),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_json` was given."""
        given = {name: value for name, value in values.items() if name != "tables"}
        given["selection"] = Selection(**given.get("selection", {}))
        given["limits"] = tuple(Limit(**limit) for limit in values["limits"])
        given["rules"] = tuple(values["rules"])
        given["data_dir"] = None if values["data_dir"] is None else Path(values["data_dir"])
        return cls(**given)

    @property
    def run_name(self) -> str:
        """Readable start of the run folder's name."""
        return f"{self.space}-{self.target}" if self.target else self.space

    @property
    def scored_on(self) -> str:
        """The data, and that it is a proxy."""
        return f"on {self.dataset} at proxy size"

    def open(self, workspace: Path, reporter: Reporter, *, force: bool = False) -> Opened:
        """Find the tables and check them.

        Raises:
            UserError: a table is missing, damaged or failed its check, or a budget is not right.
        """
        space, limits = find_space(self.space), list(self.limits)
        tables = find_tables(Library(workspace), limits, self.target, space)
        problem = make_problem(space, limits, tables, self.confidence)
        check_tables(tables, reporter, force=force)
        files = {
            name: fingerprint([table.meta.get("created"), table.meta.get("table_sha256")])
            for name, table in tables.items()
        }
        return Opened(problem, all_costs(space, problem, tables), files)

    def search(self, opened: Opened, workers: int | None, reporter: Reporter) -> Search:
        """Return the search, its data ready.

        Raises:
            UserError: unknown rule, evaluator or data set.
        """
        problem = opened.problem
        rules = make_rules(problem, self.rules) if self.rules else default_rules(problem)
        evaluator, judge = self._evaluators(find_space(self.space), reporter)
        return Search(
            problem=problem,
            costs=opened.costs,
            strategy=self.strategy,
            options=Options(
                tuple(rules), self.seed, self.max_refreshes, self.replicates, self.batch
            ),
            evaluator=evaluator,
            judge=judge,
            max_evaluations=self.max_evaluations,
            workers=workers or (0 if judge is None else usable_cores()),
        )

    def within(self, quantities: Mapping[str, Sequence[str]], numbers: Sequence[str]) -> Request:
        """Return the request with other budgets; those that are not named again stay.

        Raises:
            UserError: a budget that is no quantity, or has a name of its own.
        """
        if numbers:
            raise UserError(
                f"--budget {numbers[0]} is for the columns of a table: here write for instance "
                "--budget-latency 150ms."
            )
        given = parse_limits(quantities)
        named = {self._budgeted(limit) for limit in given}
        kept = [limit for limit in self.limits if self._budgeted(limit) not in named]
        return replace(self, limits=(*kept, *given))

    def _budgeted(self, limit: Limit) -> tuple[str, str | None]:
        """Return what a limit is for: two on the same exclude each other."""
        return limit.resource, limit.target or self.target

    def describe(self, arch: str) -> str:
        """Return the architecture as it is written."""
        return arch

    def after_search(self, run: Run) -> str:
        """Return the command that trains the winner, or exports it where that cannot be."""
        winner = of_run(run)
        if winner.trainable():
            return f"hwnas train, then hwnas export --format {self._form}"
        return (
            f"hwnas export --format {self._form} (untrained), or hwnas train --dataset with the "
            f"{winner.space.classes} classes of {winner.space.name}"
        )

    def after_pick(self, arch: str) -> str:
        """Return the command that exports the network; only a run's winner can be trained."""
        return (
            f"hwnas export --arch {shlex.quote(arch)} --space {self.space} --format {self._form} "
            "--random-weights (untrained); for a network to train, hwnas search within these "
            "budgets: what this run scored is not scored again"
        )

    @property
    def _form(self) -> str:
        return find_target(self.target).export_format if self.target else "onnx"

    def _evaluators(
        self, space: RcnetSpace, reporter: Reporter
    ) -> tuple[Evaluator, Evaluator | None]:
        if self.evaluator == "fake":
            return FakeEvaluator(self.seed), None
        from hwnas.data.catalog import find_dataset
        from hwnas.evaluate.setting import Setting
        from hwnas.evaluate.trainer import TrainEvaluator
        from hwnas.train import recipe

        data = find_dataset(self.dataset, self.data_dir, self.selection, reporter)
        data.prepare(proxy_resolution(space), reporter)
        proxy = proxy_space(space, len(data.labels))
        quick = replace(recipe.QUICK, images=self.images or recipe.QUICK.images)
        setting = Setting(proxy, self.dataset, self.data_dir, selection=self.selection)
        candidates = TrainEvaluator(setting, quick, self.seed)
        longer = replace(quick, images=JUDGE_FACTOR * quick.images)
        return candidates, replace(candidates, recipe=longer, split="final")


JUDGE_FACTOR = 3
"""Finalists are trained on so many times the images of a candidate."""


def require_positive(name: str, value: int | None) -> int | None:
    """Return `value`.

    Raises:
        UserError: it is zero or negative.
    """
    if value is not None and value < 1:
        raise UserError(f"{name} must be at least 1, but got {value}.")
    return value
