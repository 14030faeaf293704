"""What a search finds with each evaluator: its winner against S0, both trained long.

RCAS within the same budgets on cluttered digits, once per evaluator and seed. The best candidates
by the evaluators' own scores (with `distill`, the best of those that were put together), and S0,
are then trained on three times a candidate's images from several seeds, and scored on images that
no search sees. One thread throughout.

    python benchmarks/evaluator_searches.py --out FILE.json --minutes 9

Every search and every training is written as soon as it is done; started again with the same file,
the script goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hwnas import __version__
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.progress import Silent
from hwnas.runs import run_for
from hwnas.search import defaults
from hwnas.spaces import find_space
from hwnas.train.recipe import Recipe
from hwnas.workflows.budgets import parse_limits
from hwnas.workflows.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE = "rcnet-digits"
BUDGETS = {"madds": ["1.4M"], "params": ["0.06M"]}
LONG = Recipe("long", 19_968, 64, 0.2, ema=0.98)
EVALUATORS: dict[str, dict] = {
    "distill": {"evaluator": "distill"},
    "train": {"evaluator": "train"},
    "train-2048": {"evaluator": "train", "images": 2_048, "max_evaluations": 60},
    "zero-cost": {"evaluator": "zero-cost"},
}
"""By name: options of the search."""


def search(name: str, seed: int, workspace: Path) -> dict:
    """Run one search; return what it found and what that took."""
    noisy = EVALUATORS[name]["evaluator"] == "train"
    request = Request(
        space=SPACE,
        target=None,
        limits=parse_limits(BUDGETS),
        **EVALUATORS[name],
        max_refreshes=defaults.MAX_REFRESHES if noisy else None,
        replicates=defaults.REPLICATES if noisy else 1,
        batch=1,
        seed=seed,
    )
    began = time.perf_counter()
    opened = request.open(workspace, Silent())
    # Without the judge: what is compared are evaluators.
    wanted = replace(request.search(opened, 1, Silent()), judge=None)
    run = run_for(workspace, name, request.to_json(opened), None)
    found = wanted.run(run, workspace / "runs" / "evaluations.sqlite", Silent())
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


def train(arch: str, seed: int) -> dict:
    """Train one network long."""
    space = find_space(SPACE)
    evaluator = TrainEvaluator(Setting(space, "cluttered-digits"), LONG, 700 + seed, "final")
    found = evaluator.evaluate(space.parse(arch))
    return {
        "arch": arch,
        "seed": seed,
        "accuracy": found.accuracy,
        "cross_entropy": found.cross_entropy,
        "seconds": found.seconds,
    }


def main() -> None:
    """Do what is missing, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    parser.add_argument("--workspace", type=Path, default=Path("runs/evaluator-searches"))
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", default=",".join(EVALUATORS), help="evaluators")
    parser.add_argument("--searches", type=int, default=1, help="seeds per evaluator")
    parser.add_argument("--seeds", type=int, default=3, help="of the long trainings")
    parser.add_argument("--machine", default="", help="as it is to be named in the results")
    options = parser.parse_args()
    if options.out is None:
        print("skipped: takes long, and is of use only with --out FILE.json")
        return
    torch.set_num_threads(1)
    end = time.monotonic() + 60 * options.minutes
    content = json.loads(options.out.read_text()) if options.out.exists() else {}
    searches, long = content.setdefault("searches", []), content.setdefault("trainings", [])
    content |= {"hwnas": __version__, "machine": options.machine, "torch": torch.__version__}
    content |= {"space": SPACE, "budgets": BUDGETS, "recipe": LONG.as_dict()}
    for seed in range(options.searches):
        for name in options.only.split(","):
            done = {(s["evaluator"], s["seed"]) for s in searches}
            if (name, seed) not in done and time.monotonic() < end:
                searches.append(search(name, seed, options.workspace))
                options.out.write_text(json.dumps(content, indent=1) + "\n")
                print(searches[-1], flush=True)
    known = {(t["arch"], t["seed"]) for t in long}
    for arch, seed in trainings(searches, options.seeds):
        if (arch, seed) not in known and time.monotonic() < end:
            long.append(train(arch, seed))
            options.out.write_text(json.dumps(content, indent=1) + "\n")
            print(long[-1], flush=True)


if __name__ == "__main__":
    main()
