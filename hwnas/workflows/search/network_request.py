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
from hwnas.evaluate.proxy import USUAL_PROXY, Proxy
from hwnas.files import fingerprint
from hwnas.lut.library import Library
from hwnas.search import defaults
from hwnas.search.rcas import GREEDY
from hwnas.search.rules import default_rules, make_rules
from hwnas.search.strategy import Options, find_strategy
from hwnas.spaces import find_space
from hwnas.workflows.search.budgets import (
    Limit,
    all_costs,
    check_tables,
    find_tables,
    make_problem,
    parse_limits,
)
from hwnas.workflows.search.engine import Search
from hwnas.workflows.search.evaluators import Asked, scoring
from hwnas.workflows.search.recipes import require_recipe
from hwnas.workflows.search.request import Opened
from hwnas.workflows.search.torch_device import CPU, find_device, require_known
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from hwnas.progress import Reporter
    from hwnas.runs import Run


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
        evaluator: one of `defaults.EVALUATORS`.
        images: training images per network, or None for the recipe's own number.
        rules: rule names, or empty for the default ones.
        max_evaluations: limit on candidates; None for the evaluator's own, which may be no limit.
        max_refreshes: old gains to evaluate again per step and rule, or None for exact greedy.
        replicates: scores per network at most, where a choice hangs on noise.
        batch: networks that the surrogate chooses at a time.
        confidence: of latency bounds, or None for the default of the table.
        seed: of weights and batches.
        time_limit_s: of the training of one candidate, or None.
        teachers: how many teachers candidates imitate, where they do.
        device: where candidates are trained, one of `torch_device.DEVICES`.
        proxy: geometry that candidates are scored at.
        recipe: of candidates that are trained, one of `defaults.RECIPES`.
    """

    space: str
    target: str | None
    limits: tuple[Limit, ...]
    strategy: str = defaults.STRATEGY
    dataset: str = defaults.DATASET
    data_dir: Path | None = None
    selection: Selection = USUAL
    evaluator: str = defaults.EVALUATOR
    images: int | None = None
    rules: tuple[str, ...] = ()
    max_evaluations: int | None = None
    max_refreshes: int | None = None
    replicates: int = 1
    batch: int = 1
    confidence: float | None = None
    seed: int = 0
    time_limit_s: float | None = None
    teachers: int = defaults.TEACHERS
    device: str = CPU
    proxy: Proxy = USUAL_PROXY
    recipe: str = defaults.RECIPE

    def __post_init__(self) -> None:
        require_positive("--images", self.images)
        require_positive("--max-evaluations", self.max_evaluations)
        require_positive("--teachers", self.teachers)
        find_strategy(self.strategy)
        if self.evaluator not in defaults.EVALUATORS:
            remedy = "tabular comes with --space tabular:FILE.csv."
            raise one_of("evaluator", self.evaluator, list(defaults.EVALUATORS), remedy)
        require_recipe(self.recipe, self.evaluator, self.images)
        require_known(self.device)
        self.proxy.require_within(find_space(self.space))

    def to_json(self, opened: Opened) -> dict[str, Any]:
        """Return the request with the identity of its tables, as JSON."""
        # Options that came later are left out where nobody used them: a run keeps its name.
        later = {
            "selection": self.selection.to_json(),
            "proxy": self.proxy.to_json(),
            "teachers": self.teachers if self.teachers != defaults.TEACHERS else None,
            "recipe": self.recipe if self.recipe != defaults.RECIPE else None,
            "device": device if (device := self._device) != CPU else None,
        }
        return {
            **{name: value for name, value in asdict(self).items() if name not in later},
            **{name: value for name, value in later.items() if value},
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
        given["proxy"] = Proxy(**given.get("proxy", {}))
        given["limits"] = tuple(Limit(**limit) for limit in values["limits"])
        given["rules"] = tuple(values["rules"])
        given["data_dir"] = None if values["data_dir"] is None else Path(values["data_dir"])
        return cls(**given)

    @property
    def run_name(self) -> str:
        """Readable start of the run folder's name."""
        return f"{self.space}-{self.target}" if self.target else self.space

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
        return Opened(problem, all_costs(space, problem, tables), files, workspace)

    def search(self, opened: Opened, workers: int | None, reporter: Reporter) -> Search:
        """Return the search, its data ready.

        Raises:
            UserError: unknown rule, evaluator or data set, or there is no such device.
        """
        problem = opened.problem
        rules = make_rules(problem, self.rules) if self.rules else default_rules(problem)
        asked = Asked(
            self.evaluator,
            find_space(self.space),
            self.dataset,
            self.data_dir,
            self.selection,
            self.images,
            self.seed,
            self.time_limit_s,
            self.teachers,
            (opened.workspace / "runs" / "teachers").resolve(),
            self.device,
            self.proxy,
            self.recipe,
        )
        who = scoring(asked, reporter)
        return Search(
            problem=problem,
            costs=opened.costs,
            strategy=self.strategy,
            options=Options(
                tuple(rules), self.seed, self.max_refreshes, self.replicates, self.batch
            ),
            evaluator=who.evaluator,
            judge=who.judge,
            max_evaluations=self._limit,
            workers=workers or self._usual_workers,
            teachers=who.teachers,
            screen=who.screen,
            made_with=who.made_with,
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
    def _limit(self) -> int | None:
        """Networks that a strategy may ask for."""
        if self.evaluator == "train":
            return self.max_evaluations or defaults.MAX_EVALUATIONS
        if self.evaluator == "distill" and self.strategy not in GREEDY:
            return self.max_evaluations or defaults.MAX_EVALUATIONS
        return self.max_evaluations

    @property
    def _device(self) -> str:
        """Where candidates are trained; nobody waits for torch where none is."""
        return CPU if self.evaluator == "fake" else find_device(self.device)

    @property
    def _usual_workers(self) -> int:
        """Processes, where nobody said: a GPU is shared by lanes of one process."""
        return 0 if self.evaluator == "fake" or self._device != CPU else usable_cores()

    @property
    def _form(self) -> str:
        return find_target(self.target).export_format if self.target else "onnx"


def require_positive(name: str, value: int | None) -> int | None:
    """Return `value`.

    Raises:
        UserError: it is zero or negative.
    """
    if value is not None and value < 1:
        raise UserError(f"{name} must be at least 1, but got {value}.")
    return value
