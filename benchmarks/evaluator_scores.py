"""What cheap evaluators say of the 40 networks of `evaluator_truth.py`, on CPU processes.

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
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator_truth import SPACE, one_block_additions, path

from hwnas import __version__
from hwnas.evaluate.distill.evaluator import DistillEvaluator
from hwnas.evaluate.distill.teacher import TEACHER, Teacher
from hwnas.evaluate.distill.transplant import TransplantEvaluator
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.supernet import SupernetEvaluator
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.progress import Silent
from hwnas.train import recipe as recipes
from hwnas.train.recipe import QUICK, UNIT, Recipe

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


def _distill(images: int, teacher_images: int) -> Callable[[Setting, int], Evaluator]:
    def make(setting: Setting, seed: int) -> Evaluator:
        folder = Path(tempfile.gettempdir()) / "hwnas-teachers"
        recipe = replace(recipes.TEACHER, images=teacher_images)
        teacher = Teacher(setting, recipe, seed - FIRST_SEED, folder)
        teacher.train(Silent())
        return DistillEvaluator(TransplantEvaluator(teacher, replace(UNIT, images=images), seed))

    return make


FIRST_SEED = 500

EVALUATORS = {
    "distill-1024": _distill(1_024, 81_920),
    "distill-2048": _distill(2_048, 81_920),
    "distill-4096": _distill(4_096, 81_920),
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


def run(job: tuple[str, str, int, int, str | None]) -> dict:
    """Score the networks of one job."""
    import torch

    torch.set_num_threads(1)
    name, dataset, seed, part, data_dir = job
    setting = Setting(SPACE, dataset, None if data_dir is None else Path(data_dir))
    began, scores = time.perf_counter(), {}
    evaluator = EVALUATORS[name](setting, FIRST_SEED + seed)
    archs = list(dict.fromkeys([*one_block_additions(), *path()]))
    for arch in archs[part::PARTS] if part >= 0 else archs:
        started = time.perf_counter()
        found: Evaluation = evaluator.evaluate(arch)
        loss = -found.score if found.cross_entropy is None else found.cross_entropy
        scores[SPACE.format(arch)] = [found.accuracy, loss, time.perf_counter() - started]
    images, shared = _images(evaluator, found, archs)
    return {
        "evaluator": name,
        "dataset": dataset,
        "seed": seed,
        "part": part,
        "images": images,
        "shared_images": shared,
        "seconds": time.perf_counter() - began,
        "scores": scores,
    }


def _images(evaluator: Evaluator, last: Evaluation, archs: list[Arch]) -> tuple[float, int]:
    """Return training images per network, and those that serve all networks."""
    if isinstance(evaluator, DistillEvaluator):
        units = {part for arch in archs for part in evaluator.parts(arch)} - {TEACHER}
        teacher = evaluator.part.teacher.recipe.images
        return len(units) * evaluator.part.recipe.images / len(archs), teacher
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
    options = parser.parse_args()
    if options.out is None:
        print("skipped: takes long, and is of use only with --out FILE.json")
        return
    began = time.monotonic()
    content = json.loads(options.out.read_text()) if options.out.exists() else {"jobs": []}
    content["hwnas"] = __version__
    done = {(j["evaluator"], j["dataset"], j["seed"], j["part"]) for j in content["jobs"]}
    names = options.only.split(",") if options.only else list(EVALUATORS)
    folder = str(options.data_dir) if options.data_dir else None
    jobs = [
        (name, dataset, seed, part, folder)
        for seed in range(options.seeds)
        for name in names
        for dataset in ("cluttered-digits", *(["cifar10"] if folder else []))
        for part in (range(PARTS) if name.startswith("train") else [-1])
        if (name, dataset, seed, part) not in done
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
