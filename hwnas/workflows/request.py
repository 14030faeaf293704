"""What was asked of a search: plain values that name the run's folder, and what they stand for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError, one_of
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.proxy import proxy_space
from hwnas.files import fingerprint
from hwnas.search import defaults
from hwnas.search.rules import default_rules, make_rules
from hwnas.search.strategy import Options, find_strategy
from hwnas.workflows.budgets import Limit, all_costs, make_problem
from hwnas.workflows.search import Search

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hwnas.cost import Problem
    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.lut.table import Table
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
        evaluator: "train" or "fake".
        images: training images per candidate, or None for the recipe's own number.
        rules: rule names, or empty for the default ones.
        max_evaluations: limit on candidates, or None.
        max_refreshes: old gains to evaluate again per step and rule, or None for exact greedy.
        replicates: scores per network at most, where a choice hangs on noise.
        confidence: of latency bounds, or None for the default of the table.
        seed: of weights and batches.
    """

    space: str
    target: str | None
    limits: tuple[Limit, ...]
    strategy: str = defaults.STRATEGY
    dataset: str = defaults.DATASET
    data_dir: Path | None = None
    evaluator: str = "train"
    images: int | None = None
    rules: tuple[str, ...] = ()
    max_evaluations: int | None = defaults.MAX_EVALUATIONS
    max_refreshes: int | None = defaults.MAX_REFRESHES
    replicates: int = defaults.REPLICATES
    confidence: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive("--images", self.images)
        require_positive("--max-evaluations", self.max_evaluations)
        find_strategy(self.strategy)
        if self.evaluator not in EVALUATORS:
            raise one_of("evaluator", self.evaluator, list(EVALUATORS))

    def to_json(self, tables: Mapping[str, Table]) -> dict[str, Any]:
        """Return the request with the identity of its tables, as JSON."""
        return {
            **asdict(self),
            "limits": [asdict(limit) for limit in self.limits],
            "rules": list(self.rules),
            "data_dir": None if self.data_dir is None else str(self.data_dir),
            "tables": {
                name: fingerprint([table.meta.get("created"), table.meta.get("table_sha256")])
                for name, table in tables.items()
            },
        }

    @property
    def run_name(self) -> str:
        """Readable start of the run folder's name."""
        return f"{self.space}-{self.target}" if self.target else self.space

    def problem(self, space: RcnetSpace, tables: Mapping[str, Table]) -> Problem:
        """Return the search problem."""
        return make_problem(space, list(self.limits), tables, self.confidence)

    def search(
        self,
        space: RcnetSpace,
        problem: Problem,
        tables: Mapping[str, Table],
        workers: int | None,
        ray: str | None = None,
    ) -> Search:
        """Return the search, its data loaded.

        Raises:
            UserError: unknown rule, evaluator or data set.
        """
        rules = make_rules(problem, self.rules) if self.rules else default_rules(problem)
        evaluator, judge = self._evaluators(space)
        return Search(
            problem=problem,
            costs=all_costs(space, problem, tables),
            strategy=self.strategy,
            options=Options(tuple(rules), self.seed, self.max_refreshes, self.replicates),
            evaluator=evaluator,
            judge=judge,
            max_evaluations=self.max_evaluations,
            workers=workers or (0 if judge is None or ray is not None else usable_cores()),
            ray=ray,
        )

    def _evaluators(self, space: RcnetSpace) -> tuple[Evaluator, Evaluator | None]:
        if self.evaluator == "fake":
            return FakeEvaluator(self.seed), None
        from hwnas.data.catalog import find_dataset
        from hwnas.evaluate.setting import Setting
        from hwnas.evaluate.trainer import TrainEvaluator
        from hwnas.train import recipe

        classes = len(find_dataset(self.dataset, self.data_dir).images.labels)
        proxy = proxy_space(space, classes)
        quick = replace(recipe.QUICK, images=self.images or recipe.QUICK.images)
        candidates = TrainEvaluator(Setting(proxy, self.dataset, self.data_dir), quick, self.seed)
        longer = replace(quick, images=JUDGE_FACTOR * quick.images)
        return candidates, replace(candidates, recipe=longer, split="final")


JUDGE_FACTOR = 3
"""Finalists are trained on so many times the images of a candidate."""


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    import os

    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_positive(name: str, value: int | None) -> int | None:
    """Return `value`.

    Raises:
        UserError: it is zero or negative.
    """
    if value is not None and value < 1:
        raise UserError(f"{name} must be at least 1, but got {value}.")
    return value
