"""`hwnas search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import found, options
from hwnas.cli.console import TerminalReporter, print_json
from hwnas.cli.lazy_help import STRATEGIES
from hwnas.errors import UserError
from hwnas.search import defaults
from hwnas.train.recipe import QUICK, UNIT

if TYPE_CHECKING:
    from hwnas.workflows.asked import SearchRequest

_Texts = list[str] | None


def search(
    budget_latency: options.Latency = None,
    budget_params: options.Params = None,
    budget_madds: options.Madds = None,
    budget_energy: options.Energy = None,
    budget_memory: options.Memory = None,
    budget_size: options.Size = None,
    target: options.Target = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="rcnet-imagenet, rcnet-cifar100, rcnet-cifar10, rcnet-digits, rcnet with --input "
            "and --classes, or tabular:FILE.csv, whose rows are networks.",
        ),
    ] = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    ops: Annotated[
        str | None,
        typer.Option(
            metavar="COL1,COL2,...", help="With a table: columns that hold operations, in order."
        ),
    ] = None,
    empty: Annotated[
        str | None,
        typer.Option(
            metavar="OP", help="With a table: the operation that stands for an empty position."
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="With a table: the column to maximise."),
    ] = None,
    cost: Annotated[
        _Texts,
        typer.Option(metavar="NAME=COLUMN", help="With a table: a cost; may be repeated."),
    ] = None,
    budget: options.Budget = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    held_out_per_class: options.HeldOutPerClass = None,
    skip_damaged: options.SkipDamaged = False,
    strategy: Annotated[
        str, typer.Option(help=f"One of: {STRATEGIES}. rcas: lazy greedy under several rules.")
    ] = defaults.STRATEGY,
    rules: Annotated[
        str | None,
        typer.Option(
            help="uc, apr, amr, alr, aer, asr, sum, separated by commas; the rule of a table's own "
            "cost is named as the cost.",
            show_default="uc and one per budgeted resource",
        ),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(
            help="distill: by how well a candidate's stages imitate those of teachers; train: "
            "each candidate for a short while; zero-cost: by the volume of activations, "
            "untrained; fake (free scores, for tests); tabular is implied by a table.",
            show_default=defaults.EVALUATOR,
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            help="Training images per network.",
            show_default=f"{UNIT.images} per stage for distill; {QUICK.images} for train",
        ),
    ] = None,
    teachers: Annotated[
        int | None,
        typer.Option(
            help="Networks that candidates imitate with distill: fewer are quicker, more are "
            "nearer to the truth.",
            min=1,
            show_default=str(defaults.TEACHERS),
        ),
    ] = None,
    max_evaluations: Annotated[
        int | None,
        typer.Option(
            help="Networks to score at most.",
            show_default=f"{defaults.MAX_EVALUATIONS}; no limit where scores are free (zero-cost, "
            "fake, table), or mostly known (distill with greedy strategies)",
        ),
    ] = None,
    refreshes: Annotated[
        int | None,
        typer.Option(
            help="Old gains to evaluate again per step and rule; 0: until the best one is fresh "
            "(exact lazy greedy).",
            min=0,
            show_default=f"{defaults.MAX_REFRESHES}; 0 where scores are exact",
        ),
    ] = None,
    replicates: Annotated[
        int | None,
        typer.Option(
            help="Scores per network at most, where noise could have swapped two blocks of which "
            "only one fits.",
            min=1,
            show_default=f"{defaults.REPLICATES}; 1 where scores are exact",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Networks that surrogate chooses at a time, to be scored side by side.",
            min=1,
            show_default=f"{defaults.BATCH}; 1 where scores are free",
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="A candidate whose training takes longer is recorded as failed, such as 60s.",
            show_default="none",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes; with --ray tasks at a time.",
            show_default="one per core; none of its own for a table",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Score networks on a Ray cluster: HOST:PORT, auto, or local to start one.",
        ),
    ] = None,
    seed: options.Seed = 0,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Of latency bounds.", show_default="0.95; the point estimate if ESTIMATED"
        ),
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Folder of the run.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Use a table that failed its check.")] = (
        False
    ),
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Find the best network that keeps within all budgets.

    The same command again goes on where a killed one stopped.

    Example: hwnas search --budget-latency 190ms

    Of a table: hwnas search --space tabular:grid.csv --ops op1,op2 --empty skip --score accuracy
    --cost latency=latency_ms --budget latency=12.5
    """
    from hwnas.data.selection import Selection
    from hwnas.lut.library import Library
    from hwnas.spaces import TABULAR
    from hwnas.units import parse_seconds
    from hwnas.workflows.budgets import parse_limits
    from hwnas.workflows.predict import check_confidence, choose
    from hwnas.workflows.request import Request
    from hwnas.workflows.start_search import start_search
    from hwnas.workflows.tabular_options import (
        refuse_with_table,
        refuse_without_table,
        table_values,
    )
    from hwnas.workflows.tabular_request import TabularRequest

    quantities = options.by_resource(
        budget_latency, budget_params, budget_madds, budget_energy, budget_memory, budget_size
    )
    of_networks = {f"--budget-{resource}": texts for resource, texts in quantities.items()} | {
        "--target": target,
        "--input": input_size,
        "--classes": classes,
        "--width": width,
        "--dataset": dataset,
        "--data-dir": data_dir,
        "--held-out-per-class": held_out_per_class,
        "--skip-damaged": skip_damaged or None,
        "--images": images,
        "--teachers": teachers,
        "--confidence": confidence,
        "--force": force or None,
        "--evaluator": None if evaluator == "tabular" else evaluator,
        "--replicates": replicates,
        "--time-limit": time_limit,
    }
    common: dict[str, Any] = {
        "strategy": strategy,
        "rules": tuple(rules.replace(" ", "").split(",")) if rules else (),
        "seed": seed,
    }
    request: SearchRequest
    if space is not None and space.startswith(TABULAR):
        refuse_with_table(of_networks)
        request = TabularRequest(
            **table_values(space, ops, empty, score, cost, budget),
            max_evaluations=max_evaluations,
            max_refreshes=refreshes or None,
            batch=batch or 1,
            **common,
        )
    else:
        refuse_without_table(
            {"--ops": ops, "--empty": empty, "--score": score, "--cost": cost, "--budget": budget}
        )
        limits = parse_limits(quantities)
        named = target or next((limit.target for limit in limits if limit.target), None)
        geometry = {"input_size": input_size, "classes": classes, "width": width}
        wanted, chosen = choose(Library(workspace), named, space, geometry)
        scorer = evaluator or defaults.EVALUATOR
        if teachers is not None and scorer != "distill":
            raise UserError(
                f"--teachers is for --evaluator distill, not for {scorer}: leave it out."
            )
        request = Request(
            space=chosen.name,
            target=wanted,
            limits=limits,
            dataset=dataset or defaults.DATASET,
            data_dir=data_dir,
            selection=Selection(held_out_per_class, skip_damaged),
            evaluator=scorer,
            images=images,
            max_evaluations=max_evaluations,
            **defaults.care(scorer, refreshes, replicates, batch)._asdict(),
            confidence=check_confidence(confidence),
            time_limit_s=None if time_limit is None else parse_seconds(time_limit),
            teachers=defaults.TEACHERS if teachers is None else teachers,
            **common,
        )
    reporter = TerminalReporter()
    result = start_search(
        workspace, request, reporter, workers=workers, ray=ray, folder=run, force=force
    )
    if json:
        print_json(result)
    else:
        found.show_search(request, result)
