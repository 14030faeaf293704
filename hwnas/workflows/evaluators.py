"""From the name of an evaluator to what scores the candidates of a search, and its finalists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.proxy import proxy_resolution, proxy_space

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.data.selection import Selection
    from hwnas.evaluate.distill.teacher import Teacher
    from hwnas.evaluate.evaluation import Composed, Evaluator
    from hwnas.evaluate.setting import Setting
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace

JUDGE_FACTOR = 3
"""Finalists of `train` are trained on so many times the images of a candidate."""

SCREENING_TEACHERS = 2
"""Teachers whose units candidates are put together from: each time a whole network is trained."""

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


@dataclass(frozen=True, slots=True)
class Scoring:
    """Who scores.

    Attributes:
        evaluator: scores candidates.
        judge: scores finalists, on other images; None where scores are exact.
        teachers: what candidates imitate, to be trained first.
        screen: scores the best candidates before the judge does; None where candidates' scores
            are to choose the finalists.
    """

    evaluator: Evaluator | Composed
    judge: Evaluator | None = None
    teachers: tuple[Teacher, ...] = ()
    screen: Evaluator | None = None


def scoring(asked: Asked, reporter: Reporter) -> Scoring:
    """Return who scores; data is ready.

    Raises:
        UserError: the data set is unknown or cannot be read.
    """
    if asked.name == "fake":
        return Scoring(FakeEvaluator(asked.seed))
    from hwnas.data.catalog import find_dataset

    data = find_dataset(asked.dataset, asked.data_dir, asked.selection, reporter)
    from hwnas.evaluate.setting import Setting
    from hwnas.evaluate.trainer import TrainEvaluator
    from hwnas.evaluate.zero_cost import ZeroCostEvaluator
    from hwnas.train import recipe

    data.prepare(proxy_resolution(asked.space), reporter)
    proxy = proxy_space(asked.space, len(data.labels))
    setting = Setting(proxy, asked.dataset, asked.data_dir, selection=asked.selection)
    images = asked.images or recipe.QUICK.images
    if asked.name == "distill" and asked.images is not None:
        # All trainings become longer or shorter alike.
        images = max(1, round(recipe.QUICK.images * asked.images / recipe.UNIT.images))
    short = replace(recipe.QUICK, images=images)
    candidates = TrainEvaluator(setting, short, asked.seed, time_limit_s=asked.time_limit_s)
    longer = replace(short, images=JUDGE_FACTOR * short.images)
    judge = replace(candidates, recipe=longer, split="judge", time_limit_s=None)
    if asked.name == "zero-cost":
        return Scoring(ZeroCostEvaluator(setting.space), judge)
    if asked.name == "distill":
        return _distill(asked, setting, judge)
    return Scoring(candidates, judge)


def _distill(asked: Asked, setting: Setting, judge: Evaluator) -> Scoring:
    from hwnas.evaluate.distill.committee import Committee
    from hwnas.evaluate.distill.evaluator import DistillEvaluator
    from hwnas.evaluate.distill.stitch import StitchEvaluator
    from hwnas.train import recipe

    images = asked.images or recipe.UNIT.images
    committee = Committee.of(
        setting,
        replace(recipe.TEACHER, images=TEACHER_FACTOR * images),
        replace(recipe.UNIT, images=images),
        asked.seed,
        asked.folder,
        count=asked.teachers,
        time_limit_s=asked.time_limit_s,
    )
    few = Committee(committee.members[:SCREENING_TEACHERS])
    screen = StitchEvaluator(few, replace(recipe.STITCH, images=images))
    return Scoring(DistillEvaluator(committee), judge, committee.teachers, screen)
