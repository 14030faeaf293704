"""One unit of a candidate in the place of the teacher's: trained to imitate it, then judged there.

Training is a regression on every number that the teacher's unit gives out, so that a few thousand
images are enough, and what luck there is in them is small. (In the spirit of block-wise
distillation: Li et al., "Blockwisely Supervised Neural Architecture Search with Knowledge
Distillation", CVPR 2020.)
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.distill.saved import file_of, read_unit, write_unit
from hwnas.evaluate.distill.teacher import (
    Lesson,
    Teacher,
    held_out_lesson,
    trained,
    training_lesson,
)
from hwnas.evaluate.distill.units import FRAME, UNITS, differing_units, parts_of
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.failures import images_counted
from hwnas.evaluate.trainer import train_within
from hwnas.models.network import Network, initialise, module_name, run_layers
from hwnas.seeds import derive
from hwnas.train.lanes import finish
from hwnas.train.loop import Training
from hwnas.train.memory import memory_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from hwnas.data.dataset import Batch, Split
    from hwnas.evaluate.distill.units import Part
    from hwnas.spaces import Arch
    from hwnas.train.recipe import Recipe

VERSION = 1
"""To be raised with any change that changes scores."""


@dataclass(frozen=True)
class TransplantEvaluator:
    """Scores a unit, written as the frame with that unit, by how little it changes the teacher.

    The score is exp(-KL), the divergence of class probabilities from the teacher's. Accuracy and
    cross-entropy are those of the teacher with the transplanted unit.

    Attributes:
        teacher: trained beforehand.
        recipe: training of a unit.
        seed: of weights and batches.
        split: held-out images that score.
        inherit: start the first block of a stage from the teacher's, where it is of the same type.
        time_limit_s: a unit that takes longer is recorded as failed; None for no limit.
    """

    teacher: Teacher
    recipe: Recipe
    seed: int = 0
    split: Split = "search"
    inherit: bool = True
    time_limit_s: float | None = None

    def identity(self) -> dict[str, Any]:
        """Return what decides the score."""
        return {
            "evaluator": "transplant",
            "version": VERSION,
            "teacher": self.teacher.identity(),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "split": self.split,
            "inherit": self.inherit,
            **({} if self.time_limit_s is None else {"time_limit_s": self.time_limit_s}),
        }

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        """Train the unit in which `arch` differs from the frame; return how well it does.

        Raises:
            EvaluationFailed: training diverged, or took longer than the limit.
            MemoryError: the unit is too large for this machine.
            UserError: there is no trained teacher, or the unit cannot be written.
        """
        evaluation, weights = self._train(arch, replicate)
        write_unit(file_of(self, arch, replicate), weights)
        return evaluation

    def weights(self, arch: Arch, replicate: int = 0) -> dict[str, Tensor]:
        """Return the trained weights of a unit, by name in the network; trained if need be.

        Raises:
            EvaluationFailed, MemoryError, UserError: as `evaluate`.
        """
        path = file_of(self, arch, replicate)
        if (found := read_unit(path)) is None:
            _, found = self._train(arch, replicate)
            write_unit(path, found)
        return found

    def _train(self, arch: Arch, replicate: int) -> tuple[Evaluation, dict[str, Tensor]]:
        differing = differing_units(FRAME, self.teacher.setting.space.canonical(arch))
        if len(differing) != 1:
            raise ValueError(f"not one unit, but {len(differing)} differ from the frame: {arch}")
        seed = derive(self.seed, "replicate", replicate)
        with memory_errors():
            # The first unit of a process makes them for all: that is not its own time.
            held_out = held_out_lesson(self.teacher, self.split, self.recipe.validation)
            recipe = self.recipe
            lesson = training_lesson(self.teacher, recipe.images, recipe.batch_size, seed)
            began = time.perf_counter()
            trainee = _Trainee(self, arch, differing[0], seed, lesson)
            training = trainee.training
            with images_counted(lambda: training.images_seen):
                batches = trainee.batches(lesson)
                finish(train_within(training, batches, began, self.time_limit_s))
                logits = trainee.logits(held_out, trained(self.teacher))
                evaluation = _judge(logits, held_out, self.recipe.images, began)
        return evaluation, training.result.state_dict()


class _Layers(nn.ModuleDict):
    """A part of a network as a module of its own."""

    def __init__(self, part: Part, network: Network) -> None:
        names = [module_name(node.name) for node in part]
        super().__init__({name: network.layers[name] for name in names})
        self._part = part

    def forward(self, value: Tensor) -> Tensor:
        return run_layers(self._part, self, value)


class _Trainee:
    """A unit on its way to the teacher's.

    Attributes:
        training: its own, in fp32: activations are told apart by little.
    """

    def __init__(
        self, evaluator: TransplantEvaluator, arch: Arch, unit: int, seed: int, lesson: Lesson
    ) -> None:
        network = Network(evaluator.teacher.setting.space.graph(arch))
        initialise(network, seed, still_branches=True)
        self._unit = unit
        own = _Layers(parts_of(network.graph)[unit + 1], network)
        if evaluator.inherit:
            _take_first_blocks(own, trained(evaluator.teacher))
        error = _divergence if unit == len(UNITS) - 1 else _distance(unit + 1, lesson)
        self.training = Training(
            own,
            evaluator.recipe,
            evaluator.teacher.setting.torch_device,
            loss=lambda value, wanted: error(own(value), wanted),
            record=False,
        )

    def batches(self, lesson: Lesson) -> list[Batch]:
        """Return what goes into the teacher's unit, and what comes out of it."""
        return [(batch[self._unit], batch[self._unit + 1]) for batch in lesson.features]

    @torch.inference_mode()
    def logits(self, held_out: Lesson, teacher: Network) -> list[Tensor]:
        """Return what the teacher with this unit says, per batch."""
        unit = self.training.result.eval()
        rest = parts_of(teacher.graph)[self._unit + 2 :]
        found = []
        for batch in held_out.features:
            value = unit(batch[self._unit])
            for part in rest:
                value = run_layers(part, teacher.layers, value)
            found.append(value)
        return found


def _take_first_blocks(layers: nn.ModuleDict, teacher: Network) -> None:
    """Start the first block of a stage from the teacher's, as far as types and shapes agree.

    What comes behind it starts as the identity, so that luck at the start hardly counts. Units
    with a stage that may be empty start afresh: whether it is empty decides which shapes agree.
    """
    for name, layer in layers.items():
        if FIRST_BLOCK.match(name) and name in teacher.layers:
            theirs = teacher.layers[name].state_dict()
            own = layer.state_dict()
            if all(own[key].shape == value.shape for key, value in theirs.items()):
                layer.load_state_dict(theirs)


def _distance(part: int, lesson: Lesson) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the mean squared difference, each channel in its own standard deviation."""
    first = torch.cat([batch[part] for batch in lesson.features[:STANDARD_BATCHES]])
    scale = first.std((0, 2, 3), keepdim=True).clamp_min(1e-6).reciprocal()
    return lambda value, wanted: ((value - wanted) * scale).square().mean()


def _divergence(value: Tensor, wanted: Tensor) -> Tensor:
    """Return the cross-entropy with the teacher's probabilities."""
    return functional.cross_entropy(value, wanted.softmax(1))


FIRST_BLOCK = re.compile(r"stage[012]__0__")
"""Modules of the first block of a unit that holds one stage, never empty."""

LARGEST = 100.0
"""Divergence above which all are alike, nats: its exponential stays a number."""

STANDARD_BATCHES = 20
"""Batches whose features tell the standard deviation of each channel."""


def _judge(logits: list[Tensor], held_out: Lesson, images: int, began: float) -> Evaluation:
    """Return the evaluation of class scores against the teacher's and the labels."""
    own = torch.cat(logits).float().log_softmax(1).double()
    teacher = torch.cat([batch[-1] for batch in held_out.features]).float().log_softmax(1).double()
    labels = torch.cat(held_out.labels)
    divergence = (teacher.exp() * (teacher - own)).sum(1)
    if not math.isfinite(mean := divergence.mean().item()):
        raise EvaluationFailed("training diverged: no finite class scores")
    score = math.exp(-min(mean, LARGEST))
    return Evaluation(
        score,
        (own.argmax(1) == labels).double().mean().item(),
        functional.nll_loss(own, labels).item(),
        score * divergence.std(correction=0).item() / math.sqrt(len(labels)),
        images,
        time.perf_counter() - began,
    )
