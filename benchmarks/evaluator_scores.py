"""What cheap evaluators say of the networks that were trained long, on CPU processes.

Those are the 40 networks of `evaluator_truth.py` and the 52 of `evaluator_budget.py`.

    python benchmarks/evaluator_scores.py --data-dir DIR --out FILE.json --minutes 9 --workers 14

Every evaluator scores all networks from several seeds; each job (one evaluator, data set and seed)
is written as soon as it is done, and the same command goes on where it stopped.
`benchmarks/evaluators.py` compares the result with the truth.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator_budget import SEEN, UNSEEN
from evaluator_truth import SPACE, one_block_additions, path
from supernet import SupernetEvaluator

from hwnas import __version__
from hwnas.evaluate.distill.evaluator import Committee, DistillEvaluator
from hwnas.evaluate.distill.stitch import StitchEvaluator
from hwnas.evaluate.distill.teacher import some_teachers
from hwnas.evaluate.distill.units import units_of
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.progress import Silent
from hwnas.train import recipe as recipes
from hwnas.train.recipe import QUICK, Recipe
from hwnas.workflows.search.evaluators import TEACHER_FACTOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.evaluate.evaluation import Evaluation, Evaluator
    from hwnas.spaces import Arch

TUNE = Recipe("tune", 960, 32, 0.03, warmup=0.0, validation=2_000)


def _train(images: int) -> Callable[[Setting, int], Evaluator]:
    recipe = replace(QUICK, images=images)
    return lambda setting, seed: TrainEvaluator(setting, recipe, seed)


def _supernet(images: int, blocks: int, tune: int = 960) -> Callable[[Setting, int], Evaluator]:
    recipe, tuning = Recipe("shared", images, 32, 0.1), replace(TUNE, images=tune)
    warm = 0.25 if blocks else 1.0
    return lambda setting, seed: SupernetEvaluator(setting, recipe, tuning, warm, blocks, seed)


def _committee(setting: Setting, images: int, seed: int, count: int) -> Committee:
    folder = Path(tempfile.gettempdir()) / "hwnas-teachers"
    unit = replace(recipes.UNIT, images=images)
    teacher = replace(recipes.TEACHER, images=TEACHER_FACTOR * images)
    teachers = some_teachers(setting, teacher, seed, folder, count)
    for one in teachers:
        one.train(Silent())
    return Committee(teachers, unit)


def _distill(images: int, count: int) -> Callable[[Setting, int], DistillEvaluator]:
    return lambda setting, seed: DistillEvaluator(_committee(setting, images, seed, count))


@lru_cache(maxsize=1 << 12)
def _evaluated(evaluator: Evaluator, arch: Arch) -> Evaluation:
    return evaluator.evaluate(arch)


def _score(evaluator: Evaluator | DistillEvaluator, arch: Arch) -> Evaluation:
    """Score one network; a unit that several have is trained once."""
    if not isinstance(evaluator, DistillEvaluator):
        return evaluator.evaluate(arch)
    units = [_evaluated(evaluator.part, unit) for unit in evaluator.parts(arch)]
    return evaluator.compose(arch, units)


def _stitch(images: int, count: int) -> Callable[[Setting, int], Evaluator]:
    recipe = replace(recipes.STITCH, images=images)
    return lambda setting, seed: StitchEvaluator(_committee(setting, images, seed, count), recipe)


FIRST_SEED = 500

EVALUATORS: dict[str, Callable[[Setting, int], Evaluator | DistillEvaluator]] = {
    "distill": _distill(2_048, 4),
    "stitch": _stitch(2_048, 2),
    "distill-2-teachers": _distill(2_048, 2),
    "distill-1-teacher": _distill(2_048, 1),
    "distill-1024": _distill(1_024, 4),
    "supernet-48k-12": _supernet(48_000, 12),
    "train-1536": _train(1_536),
    "supernet-48k-4": _supernet(48_000, 4),
    "inherit-12k": _supernet(12_000, 0, 1_920),
    "train-3072": _train(3_072),
    "supernet-24k-8": _supernet(24_000, 8),
    "train-6016": _train(6_016),
}
PARTS = 4
"""A job of `train` is a quarter of the networks."""


def networks() -> dict[str, list[Arch]]:
    """Return the networks by where their truth is from."""
    return {
        "truth": list(dict.fromkeys([*one_block_additions(), *path()])),
        "budget": SEEN.networks(),
        "unseen": UNSEEN.networks(),
    }


def run(job: tuple[str, str, str, int, int, str | None]) -> dict:
    """Score the networks of one job."""
    import torch

    torch.set_num_threads(1)
    name, dataset, kind, seed, part, data_dir = job
    setting = Setting(SPACE, dataset, None if data_dir is None else Path(data_dir))
    began, scores = time.perf_counter(), {}
    evaluator = EVALUATORS[name](setting, FIRST_SEED + seed)
    archs = networks()[kind]
    for arch in archs[part::PARTS] if part >= 0 else archs:
        started = time.perf_counter()
        found = _score(evaluator, arch)
        whole = isinstance(evaluator, StitchEvaluator)
        loss = -found.score if whole or found.cross_entropy is None else found.cross_entropy
        scores[SPACE.format(arch)] = [found.accuracy, loss, time.perf_counter() - started]
    images, shared = _images(evaluator, found, archs)
    return {
        "evaluator": name,
        "dataset": dataset,
        "networks": kind,
        "seed": seed,
        "part": part,
        "images": images,
        "shared_images": shared,
        "seconds": time.perf_counter() - began,
        "scores": scores,
    }


def _images(
    evaluator: Evaluator | DistillEvaluator, last: Evaluation, archs: list[Arch]
) -> tuple[float, int]:
    """Return training images per network, and those that serve all networks."""
    if isinstance(evaluator, DistillEvaluator | StitchEvaluator):
        units = {unit for arch in archs for unit in units_of(SPACE.canonical(arch))}
        part = evaluator.part
        of_units = len(part.teachers) * part.recipe.images * len(units) / len(archs)
        of_teachers = sum(teacher.recipe.images for teacher in part.teachers)
        whole = last.images if isinstance(evaluator, StitchEvaluator) else 0
        return of_units + whole, of_teachers
    shared = evaluator.recipe.images if isinstance(evaluator, SupernetEvaluator) else 0
    return last.images, shared


def main() -> None:
    """Run what is missing, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--machine", help="as it is to be named beside new results")
    parser.add_argument("--only", help="evaluators, separated by commas")
    parser.add_argument("--networks", default=",".join(networks()), help="which ones, likewise")
    options = parser.parse_args()
    if options.out is None:
        print("skipped: takes long, and is of use only with --out FILE.json")
        return
    began = time.monotonic()
    content = json.loads(options.out.read_text()) if options.out.exists() else {"jobs": []}
    content["hwnas"] = __version__
    keys = ("evaluator", "dataset", "networks", "seed", "part")
    done = {tuple(job[key] for key in keys) for job in content["jobs"]}
    names = options.only.split(",") if options.only else list(EVALUATORS)
    folder = str(options.data_dir) if options.data_dir else None
    kinds = options.networks.split(",")
    jobs = [
        (name, dataset, kind, seed, part, folder)
        for seed in range(options.seeds)
        for name in names
        for dataset in ("cluttered-digits", *(["cifar10"] if folder else []))
        for kind in (kinds if dataset == "cluttered-digits" else {"truth"} & set(kinds))
        for part in (range(PARTS) if name.startswith("train") else [-1])
        if (name, dataset, kind, seed, part) not in done
    ]
    if folder:
        list(Setting(SPACE, "cifar10", options.data_dir).held_out("search", 10))  # decodes once
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        results = pool.imap_unordered(run, jobs)
        try:
            for _ in jobs:
                left = began + 60 * options.minutes - time.monotonic()
                named = {"machine": options.machine} if options.machine else {}
                content["jobs"].append(results.next(left) | named)
                options.out.write_text(json.dumps(content))
                last = content["jobs"][-1]
                print(
                    f"{time.monotonic() - began:6.0f} s  {last['evaluator']} {last['dataset']} "
                    f"seed {last['seed']} part {last['part']}: {last['seconds']:.0f} s",
                    flush=True,
                )
        except multiprocessing.TimeoutError:
            print("the time is over")


if __name__ == "__main__":
    main()
