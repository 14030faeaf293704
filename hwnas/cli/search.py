"""`hwnas search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.search import defaults
from hwnas.train.recipe import QUICK

_Limits = list[str] | None


def search(
    budget_latency: Annotated[
        _Limits,
        typer.Option(metavar="QUANTITY", help='"190ms", or "iphone5s=190ms"; may be repeated.'),
    ] = None,
    budget_params: Annotated[
        _Limits, typer.Option(metavar="QUANTITY", help='Such as "3.4M".')
    ] = None,
    budget_madds: Annotated[
        _Limits, typer.Option(metavar="QUANTITY", help='Such as "300M".')
    ] = None,
    budget_energy: Annotated[
        _Limits, typer.Option(metavar="QUANTITY", help='Such as "50mJ".')
    ] = None,
    budget_memory: Annotated[
        _Limits, typer.Option(metavar="QUANTITY", help='Peak activations, "4MB".')
    ] = None,
    budget_size: Annotated[
        _Limits, typer.Option(metavar="QUANTITY", help='Exported file, "15MB".')
    ] = None,
    target: options.Target = None,
    space: options.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    strategy: Annotated[str, typer.Option(help="rcas: lazy greedy under several rules.")] = (
        defaults.STRATEGY
    ),
    rules: Annotated[
        str | None,
        typer.Option(
            help="uc, apr, amr, alr, aer, asr, sum, separated by commas.",
            show_default="uc and one per budgeted resource",
        ),
    ] = None,
    evaluator: Annotated[str, typer.Option(help="train, or fake (free scores, for tests).")] = (
        "train"
    ),
    images: Annotated[
        int | None,
        typer.Option(help="Training images per candidate.", show_default=str(QUICK.images)),
    ] = None,
    max_evaluations: Annotated[
        int | None,
        typer.Option(help="Networks to score at most.", show_default=str(defaults.MAX_EVALUATIONS)),
    ] = None,
    refreshes: Annotated[
        int,
        typer.Option(
            help="Old gains to evaluate again per step and rule; 0: until the best one is fresh "
            "(exact lazy greedy).",
            min=0,
        ),
    ] = defaults.MAX_REFRESHES,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; with --ray tasks at a time.", show_default="one per core"),
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
    """
    from hwnas.lut.library import Library
    from hwnas.workflows.budgets import parse_limit
    from hwnas.workflows.predict import check_confidence, choose
    from hwnas.workflows.request import Request
    from hwnas.workflows.start_search import start_search

    texts = {
        "latency": budget_latency,
        "params": budget_params,
        "madds": budget_madds,
        "energy": budget_energy,
        "memory": budget_memory,
        "size": budget_size,
    }
    limits = tuple(parse_limit(name, text) for name, given in texts.items() for text in given or ())
    named = target or next((limit.target for limit in limits if limit.target), None)
    geometry = {"input_size": input_size, "classes": classes, "width": width}
    wanted, chosen = choose(Library(workspace), named, space, geometry)
    noisy = evaluator != "fake"
    request = Request(
        space=chosen.name,
        target=wanted,
        limits=limits,
        strategy=strategy,
        dataset=dataset or defaults.DATASET,
        data_dir=data_dir,
        evaluator=evaluator,
        images=images,
        rules=tuple(rules.replace(" ", "").split(",")) if rules else (),
        max_evaluations=defaults.MAX_EVALUATIONS
        if max_evaluations is None and noisy
        else max_evaluations,
        max_refreshes=(refreshes or None) if noisy else None,
        confidence=check_confidence(confidence),
        seed=seed,
    )
    reporter = TerminalReporter()
    result = start_search(
        workspace, request, reporter, workers=workers, ray=ray, folder=run, force=force
    )
    if json:
        print_json(result)
    else:
        show(result)


def show(result: dict[str, Any]) -> None:
    """Print what was found."""
    from hwnas import units

    out, start = stdout(), result["start"]
    out.print(f"winner: {result['arch']}")
    out.print(
        f"score {result['score']:.4f} +- {result['score_stderr']:.4f}, accuracy "
        f"{result['accuracy']:.1%} (start network {start['score']:.4f}, {start['accuracy']:.1%}; "
        f"{result['score_source']})"
    )
    for name, value in result["costs"].items():
        dimension = units.DIMENSIONS[name.partition("@")[0]]
        budget = result["budgets"].get(name)
        label = result["cost_labels"][name]
        limit = f" of {dimension.format(budget['limit'])} ({budget['use']:.0%})" if budget else ""
        margin = f", with {budget['margin']:.1%} margin" if budget and budget["margin"] else ""
        out.print(f"{name:<18} {dimension.format(value)}{limit}  {label}{margin}")
    ended = "until nothing fitted" if result["complete"] else "until --max-evaluations"
    out.print(f"{result['evaluations']} networks scored, {ended}; run folder {result['run']}")
    if result["failed"]:
        out.print(f"{len(result['failed'])} networks could not be scored; see search.json")
    out.print(f"next: {_next_command(Path(result['run']))}")


def _next_command(folder: Path) -> str:
    from hwnas.device import find_target
    from hwnas.runs import Run
    from hwnas.workflows.winner import of_run

    winner = of_run(Run(folder))
    form = find_target(winner.target).export_format if winner.target else "onnx"
    if winner.trainable():
        return f"hwnas train, then hwnas export --format {form}"
    return (
        f"hwnas export --format {form} (untrained), or hwnas train --dataset with the "
        f"{winner.space.classes} classes of {winner.space.name}"
    )
