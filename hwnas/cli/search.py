"""`hwnas search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.cli import found, options
from hwnas.cli import search_options as own
from hwnas.cli.console import TerminalReporter, print_json
from hwnas.search import defaults

if TYPE_CHECKING:
    from hwnas.workflows.search.request import SearchRequest


def search(
    budget_latency: options.Latency = None,
    budget_params: options.Params = None,
    budget_madds: options.Madds = None,
    budget_energy: options.Energy = None,
    budget_memory: options.Memory = None,
    budget_size: options.Size = None,
    target: options.Target = None,
    space: own.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    ops: own.Ops = None,
    empty: own.Empty = None,
    score: own.Score = None,
    cost: own.Cost = None,
    budget: options.Budget = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    held_out_per_class: options.HeldOutPerClass = None,
    skip_damaged: options.SkipDamaged = False,
    strategy: own.Strategy = defaults.STRATEGY,
    rules: own.Rules = None,
    evaluator: own.Evaluator = None,
    recipe: own.Recipe = None,
    images: own.Images = None,
    proxy_width: own.ProxyWidth = None,
    proxy_resolution: own.ProxyResolution = None,
    device: own.Device = None,
    teachers: own.Teachers = None,
    max_evaluations: own.MaxEvaluations = None,
    refreshes: own.Refreshes = None,
    replicates: own.Replicates = None,
    batch: own.Batch = None,
    time_limit: own.TimeLimit = None,
    workers: own.Workers = None,
    ray: own.Ray = None,
    seed: options.Seed = 0,
    confidence: own.Confidence = None,
    run: own.Run = None,
    force: own.Force = False,
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
    from hwnas.evaluate.proxy import Proxy
    from hwnas.lut.library import Library
    from hwnas.spaces import TABULAR
    from hwnas.units import parse_seconds
    from hwnas.workflows.search import recipes
    from hwnas.workflows.search.budgets import parse_limits
    from hwnas.workflows.search.network_request import Request
    from hwnas.workflows.search.search import start_search
    from hwnas.workflows.search.tabular_options import (
        refuse_with_table,
        refuse_without_table,
        table_values,
    )
    from hwnas.workflows.search.tabular_request import TabularRequest
    from hwnas.workflows.search.torch_device import AUTO, CPU
    from hwnas.workflows.shared_options import check_confidence
    from hwnas.workflows.target_choice import choose

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
        "--confidence": confidence,
        "--force": force or None,
        "--evaluator": None if evaluator == "tabular" else evaluator,
        "--replicates": replicates,
        "--time-limit": time_limit,
    }
    by_training = {
        "--teachers": teachers,
        "--recipe": recipe,
        "--proxy-width": proxy_width,
        "--proxy-resolution": proxy_resolution,
        "--device": device,
    }
    common: dict[str, Any] = {
        "strategy": strategy,
        "rules": tuple(rules.replace(" ", "").split(",")) if rules else (),
        "seed": seed,
    }
    request: SearchRequest
    if space is not None and space.startswith(TABULAR):
        refuse_with_table(of_networks | by_training)
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
        recipes.refuse_for_others(scorer, by_training)
        name = dataset or defaults.DATASET
        request = Request(
            space=chosen.name,
            target=wanted,
            limits=limits,
            dataset=name,
            data_dir=data_dir,
            selection=Selection(
                recipes.held_out_per_class(recipe, name, held_out_per_class), skip_damaged
            ),
            evaluator=scorer,
            images=images,
            max_evaluations=max_evaluations,
            **defaults.care(scorer, refreshes, replicates, batch)._asdict(),
            confidence=check_confidence(confidence),
            time_limit_s=None if time_limit is None else parse_seconds(time_limit),
            teachers=defaults.TEACHERS if teachers is None else teachers,
            recipe=recipe or defaults.RECIPE,
            proxy=Proxy(proxy_width, proxy_resolution),
            # What other machines of a cluster have is not known here.
            device=device or (AUTO if ray is None else CPU),
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
