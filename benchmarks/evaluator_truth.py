"""Ground truth for candidate scores: 40 networks trained long from several seeds.

20 one-block additions to S0 and 20 networks along a path from S0 to the published RCNet, on two
data sets at width 0.25 and 16 px. `benchmarks/evaluators.py` judges every evaluator by them.

    python benchmarks/evaluator_truth.py --data-dir DIR --out FILE.json --minutes 9

Every training is written as soon as it is done; started again with the same file, the script goes
on where it stopped. DIR holds cifar10/*.parquet; without it that half is skipped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from hwnas import __version__
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.spaces import PUBLISHED, Arch, find_space
from hwnas.spaces.rcnet import STAGES, RcnetSpace
from hwnas.train.lanes import side_by_side
from hwnas.train.recipe import Recipe

SPACE = find_space("rcnet", input_size="16", classes=10, width=0.25)
ADDITIONS = PATH = 20
RECIPES = {
    "cluttered-digits": Recipe("truth", 1500 * 128, 128, 0.2, ema=0.99),
    "cifar10": Recipe("truth", 3000 * 128, 128, 0.2, ema=0.995),
}


def one_block_additions(space: RcnetSpace = SPACE) -> list[Arch]:
    """Return 20 of the 36 distinct networks of one block more than S0, all stages among them."""
    start = space.start()
    everything = {space.canonical(space.add(start, e)): e for e in space.elements(start)}
    archs = list(everything)
    rng = np.random.default_rng(0)
    order = [archs[index] for index in rng.permutation(len(archs))]
    turn = dict.fromkeys(range(STAGES), 0)
    ranked = []
    for arch in order:
        stage = everything[arch][0] // 6
        ranked.append((turn[stage], len(ranked), arch))
        turn[stage] += 1
    return [arch for *_, arch in sorted(ranked)[:ADDITIONS]]


def path(space: RcnetSpace = SPACE) -> list[Arch]:
    """Return S0 and 19 networks that each have one block more, RCNet's in a random order."""
    goal, arch = space.parse(PUBLISHED["rcnet-cifar100"]), space.start()
    missing = [(place, block) for place, block in enumerate(goal) if block and not arch[place]]
    order = np.random.default_rng(1).permutation(len(missing))
    elements = [*(missing[index] for index in order), (30, 4)]
    archs = [space.canonical(arch)]
    for element in elements[: PATH - 1]:
        arch = space.add(arch, element)
        archs.append(space.canonical(arch))
    return archs


def evaluator(dataset: str, data_dir: Path | None, recipe: Recipe, device: str) -> TrainEvaluator:
    """Return the evaluator that trains long; its images are those that no search sees."""
    return TrainEvaluator(Setting(SPACE, dataset, data_dir, device), recipe, 1000, split="final")


def main() -> None:
    """Train seed after seed until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--lanes", type=int, default=24)
    parser.add_argument("--images", type=int, help="fewer, for a trial")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    names = [name for name in RECIPES if name == "cluttered-digits" or options.data_dir]
    recipes = {
        name: recipe if not options.images else Recipe("trial", options.images, 32, 0.1, ema=0.98)
        for name, recipe in RECIPES.items()
    }
    evaluators = {n: evaluator(n, options.data_dir, recipes[n], device) for n in names}
    archs = sorted({*one_block_additions(), *path()}, key=lambda a: -SPACE.graph(a).madds)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results.setdefault("trainings", [])
    results |= {
        "hwnas": __version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "precision": "bfloat16 autocast" if device == "cuda" else "float32",
        "recipes": {name: recipe.as_dict() for name, recipe in recipes.items()},
    }
    done = {(t["dataset"], t["arch"], t["seed"]) for t in results["trainings"]}
    jobs = [
        (name, arch, seed)
        for seed in range(options.seeds)
        for name in names
        for arch in archs
        if (name, SPACE.format(arch), seed) not in done
    ]
    began = written = time.monotonic()
    end = began + 60 * options.minutes
    work = side_by_side(
        (job for job in jobs if time.monotonic() < end),
        lambda job: evaluators[job[0]].work(job[1], job[2]),
        options.lanes,
        torch.device(device),
    )
    for (name, arch, seed), outcome in work:
        entry = {"dataset": name, "arch": SPACE.format(arch), "seed": seed}
        if isinstance(outcome, Exception):
            entry["failed"] = f"{type(outcome).__name__}: {outcome}"
            print(entry, flush=True)
        else:
            entry |= {"accuracy": outcome.accuracy, "cross_entropy": outcome.cross_entropy}
        results["trainings"].append(entry)
        if time.monotonic() > written + 5 or not len(results["trainings"]) % 20:
            written = time.monotonic()
            options.out.write_text(json.dumps(results))
            count = len(results["trainings"])
            print(f"{written - began:6.0f} s  {count} trainings, last {entry}", flush=True)
    results["seconds"] = results.get("seconds", 0.0) + time.monotonic() - began
    options.out.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
