"""The teacher: a deep network of the space, trained once for all candidates of a workspace."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from hwnas.errors import UserError
from hwnas.evaluate.distill.units import parts_of
from hwnas.files import fingerprint
from hwnas.models.network import run_layers
from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES
from hwnas.train.full.checkpoint import load_trained, read
from hwnas.train.full.training import Advice, train_final
from hwnas.train.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from hwnas.data.dataset import Split
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
        return train_final(
            setting.space.graph(TEACHER),
            setting.data,
            self.recipe,
            self.seed,
            self.checkpoint,
            reporter,
            # A search looks at no image that its winner is reported on.
            scored_on="search",
            advice=ADVICE,
            world=World(on=setting.device),
        )


@dataclass(frozen=True, slots=True)
class Lesson:
    """Images as the teacher sees them.

    Attributes:
        features: per batch, what the stem and every unit give; the last ones are the logits.
        labels: per batch.
    """

    features: list[list[Tensor]]
    labels: list[Tensor]


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
def training_lesson(teacher: Teacher, images: int, batch_size: int, seed: int) -> Lesson:
    """Return training images, kept for the next candidate."""
    batches = list(teacher.setting.batches(images, batch_size, seed))
    features = [_features(trained(teacher), pixels) for pixels, _ in batches]
    return Lesson(features, [labels for _, labels in batches])


@cache
def held_out_lesson(teacher: Teacher, split: Split, count: int) -> Lesson:
    """Return held-out images, kept for the next candidate."""
    features, found = [], []
    for pixels, labels in teacher.setting.held_out(split, count):
        pairs = zip(torch.split(pixels, BATCH), torch.split(labels, BATCH), strict=True)
        for some_pixels, some_labels in pairs:
            features.append(_features(trained(teacher), some_pixels))
            found.append(some_labels)
    return Lesson(features, found)


@torch.no_grad()
def _features(network: Network, pixels: Tensor) -> list[Tensor]:
    features, value = [], pixels
    for part in parts_of(network.graph):
        value = run_layers(part, network.layers, value)
        features.append(value.clone())
    return features
