"""What a search finds with each evaluator: its winner against S0, both trained long.

RCAS within the same budgets on cluttered digits, once per evaluator and seed. The best candidates
by the evaluators' own scores (with `distill`, the best of those that were put together), and S0,
are then trained on three times a candidate's images from several seeds, and scored on images that
no search sees. One thread throughout. `pooled` is `--strategy surrogate`, whose model pools all
scores of `train`; `supernet` and `inherit` are no part of the command.

    python benchmarks/evaluator_searches.py --out FILE.json --minutes 9

Every search and every training is written as soon as it is done; started again with the same file,
the script goes on where it stopped.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from evaluator_scores import EVALUATORS as SCORERS
from resumed import Results, parser_of, train
from supernet import SupernetEvaluator

from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.progress import Silent
from hwnas.runs import run_for
from hwnas.spaces import find_space
from hwnas.train.recipe import Recipe
from hwnas.workflows.search.options import SearchOptions
from hwnas.workflows.search.search import plan, request_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE = "rcnet-digits"
BUDGETS = {"madds": ["1.4M"], "params": ["0.06M"]}
FIRST_SEED = 700
LONG = Recipe("long", 19_968, 64, 0.2, ema=0.98)
EVALUATORS: dict[str, dict] = {
    "distill": {"evaluator": "distill"},
    "train": {"evaluator": "train"},
    "train-2048": {"evaluator": "train", "images": 2_048, "max_evaluations": 60},
    "pooled": {"evaluator": "train", "strategy": "surrogate"},
    "supernet": {"evaluator": "train"},
    "inherit": {"evaluator": "train"},
    "zero-cost": {"evaluator": "zero-cost"},
}
"""By name: options of the search."""

SHARED = {"supernet": "supernet-48k-12", "inherit": "inherit-12k"}
"""By name: which of `evaluator_scores.py` takes the place of `train`."""


def search(name: str, seed: int, workspace: Path) -> dict:
    """Run one search; return what it found and what that took."""
    options: dict[str, Any] = {
        "space": SPACE,
        **{f"budget_{resource}": tuple(texts) for resource, texts in BUDGETS.items()},
        **EVALUATORS[name],
    }
    request = request_for(
        SearchOptions(**options, batch=1, seed=seed, workers=1, workspace=workspace)
    )
    began = time.perf_counter()
    opened = request.open(Silent())
    wanted, shared = plan(request, opened, Silent()), 0
    # Without the judge: what is compared are evaluators.
    scoring = replace(wanted.scoring, judge=None)
    if name in SHARED:
        assert isinstance(scoring.evaluator, TrainEvaluator)
        evaluator = SCORERS[SHARED[name]](scoring.evaluator.setting, seed)
        assert isinstance(evaluator, SupernetEvaluator)
        scoring, shared = replace(scoring, evaluator=evaluator), evaluator.recipe.images
    wanted = replace(wanted, scoring=scoring)
    run = run_for(workspace, name, {"name": name, **request.to_json(opened)}, None)
    found = wanted.run(run, workspace / "runs" / "evaluations.sqlite", Silent())
    found["trained"]["teacher_images"] += shared
    return {
        "evaluator": name,
        "seed": seed,
        "arch": found["arch"],
        "decisions": found["evaluations"],
        **found["trained"],
        "costs": found["costs"],
        "seconds": time.perf_counter() - began,
    }


def trainings(searches: list[dict], seeds: int) -> Iterator[tuple[str, int]]:
    """Yield every network to train long, with its seed, S0 first."""
    space = find_space(SPACE)
    archs = dict.fromkeys([space.format(space.start()), *(s["arch"] for s in searches)])
    yield from ((arch, seed) for seed in range(seeds) for arch in archs)


def main() -> None:
    """Do what is missing, until the time is over."""
    parser = parser_of(__doc__, 9.0)
    parser.add_argument("--workspace", type=Path, default=Path("runs/evaluator-searches"))
    parser.add_argument("--only", default=",".join(EVALUATORS), help="evaluators")
    parser.add_argument("--searches", type=int, default=1, help="seeds per evaluator")
    parser.add_argument("--seeds", type=int, default=3, help="of the long trainings")
    options = parser.parse_args()
    results = Results.opened(options, space=SPACE, budgets=BUDGETS, recipe=asdict(LONG))
    if results is None:
        return
    torch.set_num_threads(1)
    searched = {(found["evaluator"], found["seed"]) for found in results.of("searches")}
    for seed in range(options.searches):
        for name in options.only.split(","):
            if (name, seed) not in searched and results.has_time:
                results.add("searches", search(name, seed, options.workspace))
    known = {(training["arch"], training["seed"]) for training in results.of("trainings")}
    for arch, seed in trainings(results.of("searches"), options.seeds):
        if (arch, seed) not in known and results.has_time:
            found = train(find_space(SPACE), arch, LONG, FIRST_SEED + seed)
            results.add("trainings", {"arch": arch, "seed": seed, **found})


if __name__ == "__main__":
    main()
