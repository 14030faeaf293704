"""What was asked of a search among networks that can be built."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hwnas.cores import usable_cores
from hwnas.data.catalog import DRAWN
from hwnas.data.splits import SEARCH_PER_CLASS
from hwnas.device import find_target
from hwnas.errors import UserError, one_of
from hwnas.files import fingerprint
from hwnas.lut.library import Library
from hwnas.options import given
from hwnas.search.rcas import GREEDY
from hwnas.search.strategy import find_strategy
from hwnas.spaces import find_space
from hwnas.units import DURATION
from hwnas.workflows.search import options as usual
from hwnas.workflows.search.budgets import (
    Limit,
    all_costs,
    find_tables,
    make_problem,
    parse_limits,
)
from hwnas.workflows.search.options import CPU, CUDA, PAPER
from hwnas.workflows.search.request import Opened, Request
from hwnas.workflows.shared_options import budgets_of, check_confidence
from hwnas.workflows.tables import choose
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.spaces import RcnetSpace
    from hwnas.workflows.search.options import PickOptions, SearchOptions

OF_TABLES = ("--ops", "--empty", "--score", "--cost", "--budget")
"""Options that are for tables alone."""

TRAINING = ("distill", "train", "zero-cost")
"""Evaluators whose candidates, or finalists, are trained at the proxy geometry."""

ONLY_FOR = {
    "--teachers": ("distill",),
    "--recipe": ("train",),
    "--device": TRAINING,
    "--proxy-width": TRAINING,
    "--proxy-resolution": TRAINING,
}
"""Evaluators that an option means something to, where it is not all of them."""

SMALLEST_PROXY = 8
"""Pixels that candidates are scored at, at least."""

NOISY = "train"
"""The evaluator whose scores hang on luck: a second score of the same network is another one."""

PAPER_EPOCHS = 10
"""Of the data set, that each candidate is trained on with the recipe of the RCNet paper."""


@dataclass(frozen=True, kw_only=True)
class NetworkRequest(Request):
    """A search within budgets that have units.

    Attributes:
        limits: the budgets.
    """

    limits: tuple[Limit, ...]
    dataset: str
    recipe: str
    teachers: int
    device: str

    @classmethod
    def of(cls, options: SearchOptions) -> Self:
        """Return what the options mean.

        Raises:
            UserError: one is not right, or some do not go together.
        """
        evaluator = options.evaluator or usual.EVALUATOR
        _refuse(options, evaluator)
        limits = parse_limits(budgets_of(options))
        named = options.target or next((limit.target for limit in limits if limit.target), None)
        target, space = choose(Library(options.workspace), named, options.space, options.geometry)
        _require_proxy(options, space)
        settled = {
            **_defaults(options, evaluator),
            "limits": limits,
            "target": target,
            "space": space.name,
            "evaluator": evaluator,
            "confidence": check_confidence(options.confidence),
            "time_limit": options.time_limit and f"{DURATION.parse(options.time_limit)!r}s",
        }
        return cls(**vars(options) | settled)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_json` was given."""
        return super().from_json({**values, "limits": [Limit(**one) for one in values["limits"]]})

    def to_json(self, opened: Opened) -> dict[str, Any]:
        """Return what decides the result, with the identity of its tables, as JSON."""
        return {**super().to_json(opened), "device": self.torch_device}

    @property
    def run_name(self) -> str:
        """Readable start of the run folder's name."""
        return f"{self.space}-{self.target}" if self.target else self.space

    @property
    def time_limit_s(self) -> float | None:
        """Seconds that the training of a candidate may take, or None."""
        return None if self.time_limit is None else DURATION.parse(self.time_limit)

    @property
    def torch_device(self) -> str:
        """Where candidates are trained, "cpu" or "cuda"; nobody waits for torch where none is.

        Raises:
            UserError: there is no GPU that torch can use.
        """
        if self.evaluator == "fake" or self.device == CPU:
            return CPU
        import torch

        if torch.cuda.is_available():
            return CUDA
        if self.device == CUDA:
            raise UserError(
                "--device cuda: torch sees no GPU on this machine. Take --device cpu, or leave it "
                "out."
            )
        return CPU

    @property
    def limit(self) -> int | None:
        """Networks that a strategy may ask for; None for no limit."""
        trained = self.evaluator == "distill" and self.strategy not in GREEDY
        if self.evaluator == "train" or trained:
            return self.max_evaluations or usual.MAX_EVALUATIONS
        return self.max_evaluations

    @property
    def processes(self) -> int:
        """Workers, 0 for this process: a GPU is shared by lanes of one. On Ray tasks at a time."""
        if self.workers is not None:
            return self.workers
        alone = self.ray is not None or self.evaluator == "fake" or self.torch_device != CPU
        return 0 if alone else usable_cores()

    def open(self, reporter: Reporter) -> Opened:
        """Find the tables and check them.

        Raises:
            UserError: a table is missing, damaged or failed its check, or a budget is not right.
        """
        space, library = find_space(self.space), Library(self.workspace)
        tables = find_tables(library, self.limits, self.target, space, reporter, force=self.force)
        problem = make_problem(space, self.limits, tables, self.confidence)
        files = {
            name: fingerprint([table.meta.get("created"), table.meta.get("table_sha256")])
            for name, table in tables.items()
        }
        return Opened(problem, all_costs(space, problem, tables), files)

    def within(self, options: PickOptions) -> Self:
        """Return the request with other budgets; those that are not named again stay.

        Raises:
            UserError: a budget that is no quantity, or has a name of its own.
        """
        if options.budget:
            raise UserError(
                f"--budget {options.budget[0]} is for the columns of a table: here write for "
                "instance --budget-latency 150ms."
            )
        limits = parse_limits(budgets_of(options))
        named = {self._budgeted(limit) for limit in limits}
        kept = [limit for limit in self.limits if self._budgeted(limit) not in named]
        return replace(self, limits=(*kept, *limits))

    def _budgeted(self, limit: Limit) -> tuple[str, str | None]:
        """Return what a limit is for: two on the same exclude each other."""
        return limit.resource, limit.target or self.target

    def describe(self, arch: str) -> str:
        """Return the architecture as it is written."""
        return arch

    def after_search(self, run: Run) -> str:
        """Return the command that trains the winner, or exports it where that cannot be."""
        winner = of_run(run)
        if winner.fitting_data() is not None:
            return f"hwnas train, then hwnas export --format {self._form}"
        return (
            f"hwnas export --format {self._form} (untrained), or hwnas train --dataset NAME, with "
            f"the {winner.space.classes} classes of {winner.space.name}"
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


def _refuse(options: SearchOptions, evaluator: str) -> None:
    """Refuse unknown names, and options that do not go with each other."""
    asked = given(options)
    for option in OF_TABLES:
        if option in asked:
            units = " Here budgets have units: --budget-latency 190ms."
            also = units if option == "--budget" else ""
            raise UserError(f"{option} is for --space tabular:FILE.csv.{also}")
    find_strategy(options.strategy)
    if evaluator not in usual.EVALUATORS:
        remedy = "tabular comes with --space tabular:FILE.csv."
        raise one_of("evaluator", evaluator, list(usual.EVALUATORS), remedy)
    for name, known in {"recipe": usual.RECIPES, "device": usual.DEVICES}.items():
        if (chosen := asked.get(f"--{name}", known[0])) not in known:
            raise one_of(name, chosen, list(known))
    for option, evaluators in ONLY_FOR.items():
        if option in asked and evaluator not in evaluators:
            raise UserError(
                f"{option} is for --evaluator {' or '.join(evaluators)}, not for {evaluator}: "
                "leave it out."
            )
    if options.recipe == PAPER and options.images is not None:
        raise UserError(
            f"--recipe {PAPER} trains on {PAPER_EPOCHS} epochs of the data set, whatever its "
            "size: leave --images out."
        )


def _require_proxy(options: SearchOptions, space: RcnetSpace) -> None:
    """Check the geometry that candidates are scored at against the deployed one."""
    width, size = options.proxy_width, options.proxy_resolution
    if width is not None and not 0 < width <= space.width:
        raise UserError(
            f"--proxy-width must be above 0 and at most {space.width:g}, the width of "
            f"{space.name}, but got {width:g}."
        )
    if size is not None and not SMALLEST_PROXY <= size <= space.resolution:
        raise UserError(
            f"--proxy-resolution must be from {SMALLEST_PROXY} to {space.resolution} px, "
            f"the size of {space.name}, but got {size}."
        )


def _defaults(options: SearchOptions, evaluator: str) -> dict[str, Any]:
    """Return what suits the evaluator where nothing was asked for, and what was asked for."""
    noisy = evaluator == NOISY
    settled = {
        "dataset": usual.DATASET,
        "recipe": usual.QUICK_RECIPE,
        "teachers": usual.TEACHERS,
        # What other machines of a cluster have is not known here.
        "device": usual.AUTO if options.ray is None else CPU,
        "refreshes": usual.MAX_REFRESHES if noisy else 0,
        "replicates": usual.REPLICATES if noisy else 1,
        "batch": usual.BATCH if noisy else 1,
    }
    settled |= {name: value for name in settled if (value := getattr(options, name)) is not None}
    if options.recipe == PAPER and options.held_out_per_class is None:
        # Data that is drawn on the fly holds out digits of its own.
        drawn = settled["dataset"] == DRAWN
        settled["held_out_per_class"] = None if drawn else SEARCH_PER_CLASS
    return settled
