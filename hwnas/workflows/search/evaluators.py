"""From the name of an evaluator to what scores the candidates of a search, and its finalists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.proxy import USUAL_PROXY, Proxy
from hwnas.search import defaults
from hwnas.workflows.search.recipes import search_recipe
from hwnas.workflows.search.score_provenance import (
    CANDIDATES,
    FINALISTS,
    TEACHERS,
    TOGETHER,
    UNITS,
    MadeWith,
)
from hwnas.workflows.search.torch_device import CPU, CUDA, find_device

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.data.selection import Selection
    from hwnas.evaluate.distill.teacher import Teacher
    from hwnas.evaluate.evaluation import Composed, Evaluator
    from hwnas.evaluate.setting import Setting
    from hwnas.evaluate.trainer import TrainEvaluator
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace
    from hwnas.train.recipe import Recipe

JUDGE_FACTOR = 3
"""Finalists of `train` are trained on so many times the images of a candidate."""

SCREENING_TEACHERS = 2
"""Teachers whose units candidates are put together from: each time a whole network is trained."""

GPU_LANES = 8
"""Networks that a GPU trains side by side: more gain little (`docs/results.md`)."""

TEACHER_FACTOR = 20
"""A teacher is trained on so many times the images of a unit."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides a score.

    Attributes:
        name: of the evaluator, one of `defaults.EVALUATORS`.
        space: of the deployed networks.
        dataset: data that is trained and scored on.
        data_dir: where it lies.
        selection: what is held out or left out of it.
        images: training images per network, or None for the recipe's own number.
        seed: of weights and batches.
        time_limit_s: of one training, or None.
        teachers: how many teachers candidates imitate.
        folder: of trained teachers.
        device: one of `torch_device.DEVICES`.
        proxy: geometry that is trained and scored at.
        recipe: of candidates that are trained, one of `defaults.RECIPES`.
    """

    name: str
    space: RcnetSpace
    dataset: str
    data_dir: Path | None
    selection: Selection
    images: int | None
    seed: int
    time_limit_s: float | None
    teachers: int
    folder: Path
    device: str = CPU
    proxy: Proxy = USUAL_PROXY
    recipe: str = defaults.RECIPE


@dataclass(frozen=True, slots=True)
class Scoring:
    """Who scores.

    Attributes:
        evaluator: scores candidates.
        judge: scores finalists, on other images; None where scores are exact.
        teachers: what candidates imitate, to be trained first.
        screen: scores the best candidates before the judge does; None where candidates' scores
            are to choose the finalists.
        made_with: what they score with.
    """

    evaluator: Evaluator | Composed
    made_with: MadeWith
    judge: Evaluator | None = None
    teachers: tuple[Teacher, ...] = ()
    screen: Evaluator | None = None


def scoring(asked: Asked, reporter: Reporter) -> Scoring:
    """Return who scores; data is ready.

    Raises:
        UserError: the data set is unknown or cannot be read, or there is no such device.
    """
    if asked.name == "fake":
        return Scoring(FakeEvaluator(asked.seed), MadeWith(asked.name, asked.seed))
    if asked.device == CUDA:
        # Before anything is downloaded.
        find_device(CUDA)
    from hwnas.data.catalog import find_dataset

    data = find_dataset(asked.dataset, asked.data_dir, asked.selection, reporter)
    from hwnas.evaluate.setting import Setting
    from hwnas.evaluate.trainer import TrainEvaluator
    from hwnas.evaluate.zero_cost import ZeroCostEvaluator
    from hwnas.train import recipe

    data.prepare(asked.proxy.resolution_of(asked.space), reporter)
    proxy, device = asked.proxy.space(asked.space, len(data.labels)), find_device(asked.device)
    setting = Setting(proxy, asked.dataset, asked.data_dir, device, asked.selection)
    images = asked.images
    if asked.name == "distill" and images is not None:
        # All trainings become longer or shorter alike.
        images = max(1, round(recipe.QUICK.images * images / recipe.UNIT.images))
    short = search_recipe(asked.recipe, images, data, asked.selection)
    candidates = TrainEvaluator(
        setting,
        short,
        asked.seed,
        lanes=_lanes(device, asked.time_limit_s),
        time_limit_s=asked.time_limit_s,
    )
    longer = replace(short, images=JUDGE_FACTOR * short.images)
    judge = replace(
        candidates, recipe=longer, split="judge", lanes=_lanes(device), time_limit_s=None
    )
    if asked.name == "zero-cost":
        made = _made_with(asked, setting, {FINALISTS: longer})
        return Scoring(ZeroCostEvaluator(setting.space), made, judge)
    if asked.name == "distill":
        return _distill(asked, setting, judge)
    made = _made_with(asked, setting, {CANDIDATES: short, FINALISTS: longer})
    return Scoring(candidates, made, judge)


def _made_with(asked: Asked, setting: Setting, recipes: dict[str, Recipe]) -> MadeWith:
    return MadeWith(
        asked.name,
        asked.seed,
        dataset=asked.dataset,
        selection=asked.selection,
        proxy=setting.space,
        device=setting.device,
        preset=asked.recipe if CANDIDATES in recipes else None,
        recipes=recipes,
        teachers=asked.teachers if TEACHERS in recipes else 0,
    )


def _lanes(device: str, time_limit_s: float | None = None) -> int:
    """Return how many networks are trained side by side in one process.

    Where time is limited, one: the others would use up its time.
    """
    return GPU_LANES if device == CUDA and time_limit_s is None else 1


def _distill(asked: Asked, setting: Setting, judge: TrainEvaluator) -> Scoring:
    from hwnas.evaluate.distill.committee import Committee
    from hwnas.evaluate.distill.evaluator import DistillEvaluator
    from hwnas.evaluate.distill.stitch import StitchEvaluator
    from hwnas.train import recipe

    images = asked.images or recipe.UNIT.images
    recipes = {
        TEACHERS: replace(recipe.TEACHER, images=TEACHER_FACTOR * images),
        UNITS: replace(recipe.UNIT, images=images),
        TOGETHER: replace(recipe.STITCH, images=images),
        FINALISTS: judge.recipe,
    }
    committee = Committee.of(
        setting,
        recipes[TEACHERS],
        recipes[UNITS],
        asked.seed,
        asked.folder,
        count=asked.teachers,
        time_limit_s=asked.time_limit_s,
    )
    few = Committee(committee.members[:SCREENING_TEACHERS])
    screen = StitchEvaluator(few, recipes[TOGETHER])
    made = _made_with(asked, setting, recipes)
    return Scoring(DistillEvaluator(committee), made, judge, committee.teachers, screen)
