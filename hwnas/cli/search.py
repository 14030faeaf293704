"""`hwnas search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout

if TYPE_CHECKING:
    from hwnas.cost import Problem

_Limits = list[str] | None
DEFAULT_REFRESHES = 2
"""With noisy scores the largest of many old gains is mostly luck."""


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
        _Limits, typer.Option(metavar="QUANTITY", help='Float32 weights, "15MB".')
    ] = None,
    target: options.Target = None,
    space: options.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    strategy: Annotated[str, typer.Option(help="rcas: lazy greedy under several rules.")] = "rcas",
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
        int | None, typer.Option(help="Training images per candidate.", show_default="6000")
    ] = None,
    max_evaluations: Annotated[
        int | None, typer.Option(help="Networks to score at most.", show_default="90")
    ] = None,
    refreshes: Annotated[
        int,
        typer.Option(
            help="Old gains to evaluate again per step and rule; 0: until the best one is fresh "
            "(exact lazy greedy).",
            min=0,
        ),
    ] = DEFAULT_REFRESHES,
    workers: Annotated[
        int | None, typer.Option(help="Processes.", show_default="one per core")
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
    limits = {
        "latency": budget_latency,
        "params": budget_params,
        "madds": budget_madds,
        "energy": budget_energy,
        "memory": budget_memory,
        "size": budget_size,
    }
    result = run_search(
        workspace,
        limits,
        target=target,
        space=space,
        geometry={"input_size": input_size, "classes": classes, "width": width},
        dataset=dataset,
        data_dir=data_dir,
        strategy=strategy,
        rules=rules,
        evaluator=evaluator,
        images=images,
        max_evaluations=max_evaluations,
        refreshes=refreshes,
        workers=workers,
        seed=seed,
        confidence=confidence,
        folder=run,
        force=force,
    )
    if json:
        print_json(result)
    else:
        show(result)


def run_search(
    workspace: Path,
    texts: dict[str, list[str] | None],
    *,
    target: str | None = None,
    space: str | None = None,
    geometry: dict[str, Any] | None = None,
    dataset: str | None = None,
    data_dir: Path | None = None,
    strategy: str = "rcas",
    rules: str | None = None,
    evaluator: str = "train",
    images: int | None = None,
    max_evaluations: int | None = None,
    refreshes: int = DEFAULT_REFRESHES,
    workers: int | None = None,
    seed: int = 0,
    confidence: float | None = None,
    folder: Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Do what `hwnas search` does and return the content of search.json."""
    from hwnas.errors import one_of
    from hwnas.lut.library import Library
    from hwnas.runs import run_for
    from hwnas.workflows.budgets import check_tables, find_tables, parse_limit
    from hwnas.workflows.predict import check_confidence, choose
    from hwnas.workflows.request import DEFAULT_EVALUATIONS, Request, require_positive

    if strategy != "rcas":
        raise one_of("strategy", strategy, ["rcas"])
    reporter, library = TerminalReporter(), Library(workspace)
    limits = tuple(parse_limit(name, text) for name, given in texts.items() for text in given or ())
    named = [limit.target for limit in limits if limit.target]
    wanted, chosen = choose(library, target or (named[0] if named else None), space, geometry or {})
    request = Request(
        space=chosen.name,
        target=wanted,
        limits=limits,
        dataset=dataset or "cluttered-digits",
        data_dir=data_dir,
        evaluator=evaluator,
        images=require_positive("--images", images),
        rules=tuple(rules.replace(" ", "").split(",")) if rules else (),
        max_evaluations=require_positive("--max-evaluations", max_evaluations)
        or (DEFAULT_EVALUATIONS if evaluator == "train" else None),
        max_refreshes=refreshes if refreshes and evaluator == "train" else None,
        confidence=check_confidence(confidence),
        seed=seed,
    )
    tables = find_tables(library, list(limits), wanted, chosen)
    problem = request.problem(chosen, tables)
    problem.start()
    check_tables(tables, reporter, force=force)
    prepared = request.search(problem, tables, require_positive("--workers", workers))
    run = run_for(workspace, request.run_name, request.to_json(tables), folder)
    _announce(problem, request.dataset, prepared.max_evaluations, prepared.workers, run.path)
    return prepared.run(run, workspace / "runs" / "evaluations.sqlite", reporter)


def _announce(
    problem: Problem, dataset: str, limit: int | None, workers: int, folder: Path
) -> None:
    reporter = TerminalReporter()
    budgets = "; ".join(str(budget) for budget in problem.budgets)
    reporter.info(f"searching {problem.space.name} within {budgets}")
    count = f"at most {limit} networks" if limit else "networks until nothing fits"
    reporter.info(
        f"scoring {count} on {dataset} at proxy size, {max(1, workers)} at a time; "
        f"run folder {folder}"
    )


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
