"""Options of `hwnas search` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.lazy_help import STRATEGIES
from hwnas.evaluate.proxy import PROXY_RESOLUTION, PROXY_WIDTH
from hwnas.search import defaults
from hwnas.train.recipe import QUICK, UNIT

Space = Annotated[
    str | None,
    typer.Option(
        help="rcnet-imagenet, rcnet-cifar100, rcnet-cifar10, rcnet-digits, rcnet with --input "
        "and --classes, or tabular:FILE.csv, whose rows are networks.",
    ),
]

# Of a table -------------------------------------------------------------------------------------

Ops = Annotated[
    str | None,
    typer.Option(
        metavar="COL1,COL2,...", help="With a table: columns that hold operations, in order."
    ),
]
Empty = Annotated[
    str | None,
    typer.Option(
        metavar="OP", help="With a table: the operation that stands for an empty position."
    ),
]
Score = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="With a table: the column to maximise."),
]
Cost = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=COLUMN", help="With a table: a cost; may be repeated."),
]

# How scores are made ----------------------------------------------------------------------------

Evaluator = Annotated[
    str | None,
    typer.Option(
        help="distill: by how well a candidate's stages imitate those of teachers; train: "
        "each candidate for a short while; zero-cost: by the volume of activations, "
        "untrained; fake (free scores, for tests); tabular is implied by a table.",
        show_default=defaults.EVALUATOR,
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        help="How train trains a candidate. quick: on few images; paper: as the RCNet paper, on "
        "ten epochs of the data set, for a GPU.",
        show_default=defaults.RECIPE,
    ),
]
Images = Annotated[
    int | None,
    typer.Option(
        help="Training images per network.",
        show_default=f"{UNIT.images} per stage for distill; {QUICK.images} for train",
    ),
]
ProxyWidth = Annotated[
    float | None,
    typer.Option(
        help="Channel multiplier that candidates are scored at, at most the deployed one.",
        show_default=f"{PROXY_WIDTH:g}, or the deployed one if less",
    ),
]
ProxyResolution = Annotated[
    int | None,
    typer.Option(
        help="Input size in pixels that candidates are scored at, at most the deployed one.",
        show_default=f"{PROXY_RESOLUTION}, or the deployed one if less",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where candidates are trained: auto (a GPU if torch sees one), cpu or cuda.",
        show_default="auto; cpu with --ray",
    ),
]
Teachers = Annotated[
    int | None,
    typer.Option(
        help="Networks that candidates imitate with distill: fewer are quicker, more are "
        "nearer to the truth.",
        min=1,
        show_default=str(defaults.TEACHERS),
    ),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="A candidate whose training takes longer is recorded as failed, such as 60s.",
        show_default="none",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes; with --ray tasks at a time.",
        show_default="one per core; none of its own for a table or on a GPU",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Score networks on a Ray cluster: HOST:PORT, auto, or local to start one.",
    ),
]

# How it is searched -----------------------------------------------------------------------------

Strategy = Annotated[
    str, typer.Option(help=f"One of: {STRATEGIES}. rcas: lazy greedy under several rules.")
]
Rules = Annotated[
    str | None,
    typer.Option(
        help="uc, apr, amr, alr, aer, asr, sum, separated by commas; the rule of a table's own "
        "cost is named as the cost.",
        show_default="uc and one per budgeted resource",
    ),
]
MaxEvaluations = Annotated[
    int | None,
    typer.Option(
        help="Networks to score at most.",
        show_default=f"{defaults.MAX_EVALUATIONS}; no limit where scores are free (zero-cost, "
        "fake, table), or mostly known (distill with greedy strategies)",
    ),
]
Refreshes = Annotated[
    int | None,
    typer.Option(
        help="Old gains to evaluate again per step and rule; 0: until the best one is fresh "
        "(exact lazy greedy).",
        min=0,
        show_default=f"{defaults.MAX_REFRESHES}; 0 where scores are exact",
    ),
]
Replicates = Annotated[
    int | None,
    typer.Option(
        help="Scores per network at most, where noise could have swapped two blocks of which "
        "only one fits.",
        min=1,
        show_default=f"{defaults.REPLICATES}; 1 where scores are exact",
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        help="Networks that surrogate chooses at a time, to be scored side by side.",
        min=1,
        show_default=f"{defaults.BATCH}; 1 where scores are free",
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(help="Of latency bounds.", show_default="0.95; the point estimate if ESTIMATED"),
]
Run = Annotated[Path | None, typer.Option("--run", help="Folder of the run.")]
Force = Annotated[bool, typer.Option("--force", help="Use a table that failed its check.")]
