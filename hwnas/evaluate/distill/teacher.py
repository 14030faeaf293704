"""Teachers: deep networks of the space, each trained once for all candidates of a workspace.

They are trained by whoever trains candidates: side by side where there are workers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from hwnas.errors import EvaluationFailed, UserError
from hwnas.evaluate.distill.units import parts_of
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.workers.pool import open_pool
from hwnas.files import fingerprint
from hwnas.models.network import run_layers
from hwnas.progress import Silent
from hwnas.seeds import derive
from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES
from hwnas.train.full.checkpoint import Job, load_trained, read
from hwnas.train.full.course import Advice
from hwnas.train.full.training import train_final
from hwnas.train.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from hwnas.evaluate.setting import Setting
    from hwnas.models.network import Network
    from hwnas.progress import Reporter
    from hwnas.spaces import Arch
    from hwnas.train.full.result import TrainResult
    from hwnas.train.recipe import Recipe

DEPTH, TYPE = 3, 5
"""The teacher has so many blocks of this type in every stage."""

TEACHER: Arch = tuple(TYPE * (place < DEPTH) for place in range(STAGE_POSITIONS)) * STAGES

BATCH = 500

OTHERWISE = "another --evaluator, which needs no teachers"
ADVICE = Advice(
    diverged=f"take another --seed, or {OTHERWISE}",
    full=f"Take fewer --workers, or {OTHERWISE}",
)
"""Options of `hwnas search`."""


@dataclass(frozen=True)
class Teacher:
    """How the teacher is trained, and where it lies.

    Attributes:
        setting: geometry, data and device.
        recipe: of its training.
        seed: of its training.
        folder: holds one checkpoint per teacher.
    """

    setting: Setting
    recipe: Recipe
    seed: int
    folder: Path

    def identity(self) -> dict[str, Any]:
        """Return what decides its weights."""
        return {
            "arch": list(TEACHER),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            **self.setting.identity(),
        }

    @property
    def checkpoint(self) -> Path:
        """The file of its weights."""
        return self.folder / f"{fingerprint(self.identity())[:16]}.pt"

    @property
    def finished(self) -> bool:
        """Whether it has been trained to the end.

        Raises:
            UserError: its file is damaged.
        """
        return self.checkpoint.exists() and read(self.checkpoint)["metrics"] is not None

    def train(self, reporter: Reporter) -> TrainResult:
        """Train it on the setting's device, or go on where that was stopped.

        A trained one is taken as it is.

        Raises:
            EvaluationFailed: training diverged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        setting = self.setting
        job = Job(
            setting.space.graph(TEACHER),
            setting.data,
            self.recipe,
            self.seed,
            self.checkpoint,
            # A search looks at no image that its winner is reported on.
            scored_on="search",
        )
        return train_final(job, reporter, advice=ADVICE, world=World(on=setting.device))


def some_teachers(
    setting: Setting, recipe: Recipe, seed: int, folder: Path, count: int
) -> tuple[Teacher, ...]:
    """Return teachers that differ in their seeds alone, none trained yet."""
    seeds = [derive(seed, "teacher", number) for number in range(count)]
    return tuple(Teacher(setting, recipe, own, folder) for own in seeds)


# Training ---------------------------------------------------------------------------------------


def teach(
    teachers: Sequence[Teacher], reporter: Reporter, workers: int, *, ray: bool = False
) -> None:
    """Train all teachers that have not been trained.

    Args:
        teachers: to be trained.
        reporter: is shown a bar of teachers, or of epochs where no worker trains them.
        workers: see `open_pool`.
        ray: see `open_pool`.

    Raises:
        EvaluationFailed: training diverged, or the memory was full.
    """
    missing = tuple(teacher for teacher in teachers if not teacher.finished)
    if not ray and (not workers or len(missing) == 1):
        for number, teacher in enumerate(missing, 1):
            which = f"teacher {number} of {len(missing)}"
            reporter.info(f"training {which} on {teacher.recipe.images:,} images")
            teacher.train(reporter)
    elif missing:
        _teach_side_by_side(missing, reporter, workers, ray=ray)


def _teach_side_by_side(
    teachers: tuple[Teacher, ...], reporter: Reporter, workers: int, *, ray: bool
) -> None:
    what = f"training {len(teachers)} teachers, {teachers[0].recipe.images:,} images each"
    size = workers if ray else min(workers, len(teachers))
    with (
        open_pool(_Teaching(teachers), size, ray=ray) as pool,
        reporter.task(what, len(teachers)) as advance,
    ):
        for _, found in pool.results([(TEACHER, number) for number in range(len(teachers))]):
            if found.failed is not None:
                # One that diverged tells itself what to do; a process that died cannot.
                remedy = f". {ADVICE.full}." if found.may_pass else ""
                raise EvaluationFailed(f"a teacher could not be trained: {found.failed}{remedy}")
            advance(1, f"accuracy {found.accuracy:.1%}")


@dataclass(frozen=True)
class _Teaching:
    """An evaluator of teachers: replicate n is the n-th of them, and stays on disk."""

    teachers: tuple[Teacher, ...]

    def identity(self) -> dict[str, Any]:
        return {"teachers": [teacher.identity() for teacher in self.teachers]}

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:  # noqa: ARG002
        teacher = self.teachers[replicate]
        result = teacher.train(Silent())
        images, seconds = teacher.recipe.images, result.seconds
        return Evaluation(0.0, result.accuracy, None, 0.0, images, seconds)


# What it says -----------------------------------------------------------------------------------


Features: TypeAlias = "list[list[Tensor]]"
"""Per batch of images, what the teacher's stem and every unit give; the last one are logits."""


@cache
def trained(teacher: Teacher) -> Network:
    """Return the trained teacher, read once per process.

    Raises:
        UserError: its file is missing or damaged.
    """
    if not teacher.checkpoint.exists():
        raise UserError(
            f"{teacher.checkpoint} is missing: the same search, started again, trains it. "
            "On a Ray cluster all nodes have to see the folder."
        )
    graph = teacher.setting.space.graph(TEACHER)
    network = load_trained(graph, teacher.checkpoint).to(teacher.setting.torch_device)
    return network.to(memory_format=torch.channels_last)


@cache
def training_features(teacher: Teacher, images: int, batch_size: int, seed: int) -> Features:
    """Return those of training images, kept for the next candidate."""
    batches = teacher.setting.batches(images, batch_size, seed)
    return [_features(trained(teacher), pixels) for pixels, _ in batches]


@cache
def held_out_features(teacher: Teacher, count: int) -> Features:
    """Return those of held-out images that score, kept for the next candidate."""
    batches = teacher.setting.held_out("search", count)
    return [
        _features(trained(teacher), some)
        for pixels, _ in batches
        for some in torch.split(pixels, BATCH)
    ]


@torch.no_grad()
def _features(network: Network, pixels: Tensor) -> list[Tensor]:
    features, value = [], pixels
    for part in parts_of(network.graph):
        value = run_layers(part, network.layers, value)
        features.append(value.clone())
    return features
