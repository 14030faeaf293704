"""Options of `hwnas search` and `hwnas pick`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hwnas.errors import UserError
from hwnas.options import BUDGETS, MACHINE, SCORING, SEARCHING, TABLE, Option
from hwnas.train.recipe import QUICK, UNIT
from hwnas.workflows import shared_options as shared

EVALUATORS = ("distill", "train", "zero-cost", "fake")
EVALUATOR = "distill"

TEACHERS = 4
"""Teachers of `distill`, where nobody asks for fewer or more."""

QUICK_RECIPE, PAPER = RECIPES = ("quick", "paper")
"""How `train` trains a candidate; see `hwnas.workflows.search.evaluators`."""

MAX_EVALUATIONS = 90
"""Networks that `train` scores at most: keeps a search on a CPU within ten minutes on two cores."""

MAX_REFRESHES = 2
"""Old gains evaluated again per step: with noisy scores the largest of many is mostly luck."""

REPLICATES = 2
"""Scores per network at most, where two candidates exclude each other within noise."""

BATCH = 4
"""Networks that the surrogate chooses at a time, for as many workers; no worse than one by one."""

DATASET = "cluttered-digits"

PROXY_WIDTH, PROXY_RESOLUTION = 0.25, 16
"""The small geometry that candidates are scored at, in place of the one they are deployed at."""

AUTO, CPU, CUDA = DEVICES = ("auto", "cpu", "cuda")

COUNTS = ("images", "teachers", "max_evaluations", "replicates", "batch", "workers")
"""Fields that are at least 1 where they are given."""


def _strategies() -> list[str]:
    from hwnas import plugins

    return plugins.names("hwnas.strategies")


@dataclass(frozen=True, kw_only=True)
class SearchOptions(shared.NamesGeometry, shared.NamesSelection):
    """Options of `hwnas search`.

    Raises:
        UserError: a number is below 1 that may not be.
    """

    budget_latency: shared.Latency = ()
    budget_params: shared.Params = ()
    budget_madds: shared.Madds = ()
    target: shared.Target = None
    space: Annotated[
        str | None,
        Option(
            "rcnet-imagenet, rcnet-cifar100, rcnet-cifar10, rcnet-digits, rcnet with --input "
            "and --classes, or tabular:FILE.csv, whose rows are networks."
        ),
    ] = None
    dataset: shared.Dataset = None
    data_dir: shared.DataDir = None

    budget_energy: shared.Energy = ()
    budget_memory: shared.Memory = ()
    budget_size: shared.Size = ()
    confidence: Annotated[
        float | None,
        Option("Of latency bounds.", BUDGETS, default="0.95; the point estimate if ESTIMATED"),
    ] = None

    input_size: shared.InputSize = None
    classes: shared.Classes = None
    width: shared.Width = None

    ops: Annotated[
        str | None,
        Option("Columns that hold operations, in order.", TABLE, metavar="COL1,COL2,..."),
    ] = None
    empty: Annotated[
        str | None,
        Option("The operation that stands for an empty position.", TABLE, metavar="OP"),
    ] = None
    score: Annotated[str | None, Option("The column to maximise.", TABLE, metavar="COLUMN")] = None
    cost: Annotated[
        tuple[str, ...], Option("A cost; may be repeated.", TABLE, metavar="NAME=COLUMN")
    ] = ()
    budget: shared.Budget = ()

    held_out_per_class: shared.HeldOutPerClass = None
    skip_damaged: shared.SkipDamaged = False

    evaluator: Annotated[
        str | None,
        Option(
            "distill: by how well a candidate's stages imitate those of teachers; train: "
            "each candidate for a short while; zero-cost: by the volume of activations, "
            "untrained; fake (free scores, for tests); tabular is implied by a table.",
            SCORING,
            default=EVALUATOR,
        ),
    ] = None
    recipe: Annotated[
        str | None,
        Option(
            "How train trains a candidate. quick: on few images; paper: as the RCNet paper, on "
            "ten epochs of the data set, for a GPU.",
            SCORING,
            default=QUICK_RECIPE,
        ),
    ] = None
    images: Annotated[
        int | None,
        Option(
            "Training images per network.",
            SCORING,
            default=f"{UNIT.images} per stage for distill; {QUICK.images} for train",
        ),
    ] = None
    teachers: Annotated[
        int | None,
        Option(
            "Networks that candidates imitate with distill: fewer are quicker, more are nearer "
            "to the truth.",
            SCORING,
            at_least=1,
            default=str(TEACHERS),
        ),
    ] = None
    proxy_width: Annotated[
        float | None,
        Option(
            "Channel multiplier that candidates are scored at, at most the deployed one.",
            SCORING,
            default=f"{PROXY_WIDTH:g}, or the deployed one if less",
        ),
    ] = None
    proxy_resolution: Annotated[
        int | None,
        Option(
            "Input size in pixels that candidates are scored at, at most the deployed one.",
            SCORING,
            default=f"{PROXY_RESOLUTION}, or the deployed one if less",
        ),
    ] = None
    time_limit: Annotated[
        str | None,
        Option(
            "A candidate whose training takes longer is recorded as failed, such as 60s.",
            SCORING,
            metavar="TIME",
            default="none",
        ),
    ] = None

    strategy: Annotated[
        str,
        Option(
            "One of: {choices}. rcas: lazy greedy under several rules.",
            SEARCHING,
            choices=_strategies,
        ),
    ] = "rcas"
    rules: Annotated[
        str | None,
        Option(
            "uc, apr, amr, alr, aer, asr, sum, separated by commas; the rule of a table's own "
            "cost is named as the cost.",
            SEARCHING,
            default="uc and one per budgeted resource",
        ),
    ] = None
    max_evaluations: Annotated[
        int | None,
        Option(
            "Networks to score at most.",
            SEARCHING,
            default=f"{MAX_EVALUATIONS}; no limit where scores are free (zero-cost, fake, table), "
            "or mostly known (distill with greedy strategies)",
        ),
    ] = None
    refreshes: Annotated[
        int | None,
        Option(
            "Old gains to evaluate again per step and rule; 0: until the best one is fresh "
            "(exact lazy greedy).",
            SEARCHING,
            at_least=0,
            default=f"{MAX_REFRESHES}; 0 where scores are exact",
        ),
    ] = None
    replicates: Annotated[
        int | None,
        Option(
            "Scores per network at most, where noise could have swapped two blocks of which "
            "only one fits.",
            SEARCHING,
            at_least=1,
            default=f"{REPLICATES}; 1 where scores are exact",
        ),
    ] = None
    batch: Annotated[
        int | None,
        Option(
            "Networks that surrogate chooses at a time, to be scored side by side.",
            SEARCHING,
            at_least=1,
            default=f"{BATCH}; 1 where scores are free",
        ),
    ] = None
    seed: Annotated[int, Option("Seed of weights, batches and networks.", SEARCHING)] = 0

    device: Annotated[
        str | None,
        Option(
            "Where candidates are trained: auto (a GPU if torch sees one), cpu or cuda.",
            MACHINE,
            default="auto; cpu with --ray",
        ),
    ] = None
    workers: Annotated[
        int | None,
        Option(
            "Processes; with --ray tasks at a time.",
            MACHINE,
            default="one per core; none of its own for a table or on a GPU",
        ),
    ] = None
    ray: Annotated[
        str | None,
        Option(
            "Score networks on a Ray cluster: HOST:PORT, auto, or local to start one.",
            MACHINE,
            metavar="ADDRESS",
        ),
    ] = None
    run: Annotated[Path | None, Option("Folder of the run.", MACHINE)] = None
    force: Annotated[bool, Option("Use a table that failed its check.", MACHINE)] = False
    workspace: shared.Workspace = shared.HERE

    def __post_init__(self) -> None:
        for name in COUNTS:
            if (value := getattr(self, name)) is not None and value < 1:
                flag = f"--{name.replace('_', '-')}"
                raise UserError(f"{flag} must be at least 1, but got {value}.")


@dataclass(frozen=True, kw_only=True)
class PickOptions:
    """Options of `hwnas pick`: a budget that is not named again stays as it was."""

    budget_latency: shared.Latency = ()
    budget_params: shared.Params = ()
    budget_madds: shared.Madds = ()
    budget_energy: shared.Energy = ()
    budget_memory: shared.Memory = ()
    budget_size: shared.Size = ()
    budget: shared.Budget = ()
    run: shared.RunFolder = None
    workspace: shared.Workspace = shared.HERE
