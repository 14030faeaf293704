"""One unit of a candidate in the place of the teacher's: trained to imitate it, then judged there.

Training is a regression on every number that the teacher's unit gives out, so that a few thousand
images are enough, and what luck there is in them is small. (In the spirit of block-wise
distillation: Li et al., "Blockwisely Supervised Neural Architecture Search with Knowledge
Distillation", CVPR 2020.) Weights stay on disk, where whoever puts a network together finds them.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.distill.teacher import Teacher, held_out_features, trained, training_features
from hwnas.evaluate.distill.units import FRAME, UNITS, differing_units, parts_of
from hwnas.evaluate.evaluation import Evaluation, images_counted
from hwnas.evaluate.trainer import train_within
from hwnas.files import fingerprint, write_bytes
from hwnas.models.network import Network, initialise, module_name, run_layers
from hwnas.seeds import derive
from hwnas.train.full_memory import memory_errors
from hwnas.train.lanes import finish
from hwnas.train.loop import Training

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from hwnas.data.dataset import Batch
    from hwnas.evaluate.distill.teacher import Features
    from hwnas.evaluate.distill.units import Part
    from hwnas.spaces import Arch
    from hwnas.train.recipe import Recipe

FIRST_BLOCK = re.compile(r"stage[012]__0__")
"""Modules of the first block of a unit that holds one stage, never empty."""

LARGEST = 100.0
"""Divergence above which all are alike, nats: its exponential stays a number."""

STANDARD_BATCHES = 20
"""Batches whose features tell the standard deviation of each channel."""


@dataclass(frozen=True)
class UnitTraining:
    """The training of a unit.

    Attributes:
        teacher: trained beforehand.
        recipe: of the training.
        arch: the frame with that unit.
        replicate: each is an independent repetition.
        time_limit_s: a training that takes longer fails; None for no limit.
    """

    teacher: Teacher
    recipe: Recipe
    arch: Arch
    replicate: int = 0
    time_limit_s: float | None = None

    def evaluate(self) -> Evaluation:
        """Train the unit, keep its weights, and return how little it changes the teacher.

        The score is exp(-KL), the divergence of class probabilities from the teacher's.

        Raises:
            EvaluationFailed: training diverged, or took longer than the limit.
            MemoryError: the unit is too large for this machine.
            UserError: there is no trained teacher, or the weights cannot be written, say because
                the disk is full.
        """
        evaluation, weights = self._train()
        stream = io.BytesIO()
        torch.save(weights, stream)
        write_bytes(self.file, stream.getvalue())
        return evaluation

    def weights(self) -> dict[str, Tensor]:
        """Return the trained weights by name in the network, on the CPU; trained if need be.

        A damaged file is as good as none: what it held is trained again, to the same numbers.

        Raises:
            EvaluationFailed, MemoryError, UserError: as `evaluate`.
        """
        try:
            return self._read()
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            self.evaluate()
            return self._read()

    def _read(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = torch.load(self.file, map_location="cpu", weights_only=True)
        return found

    @property
    def file(self) -> Path:
        """Where the weights lie, beside those of the teacher."""
        made_of = [self.teacher.identity(), asdict(self.recipe), list(self.arch), self.replicate]
        folder = self.teacher.folder / f"{self.teacher.checkpoint.stem}-units"
        return folder / f"{fingerprint(made_of)[:16]}.pt"

    def _train(self) -> tuple[Evaluation, dict[str, Tensor]]:
        teacher, recipe = self.teacher, self.recipe
        differing = differing_units(FRAME, teacher.setting.space.canonical(self.arch))
        if len(differing) != 1:
            message = f"not one unit, but {len(differing)} differ from the frame: {self.arch}"
            raise ValueError(message)
        seed = derive(teacher.seed, "replicate", self.replicate)
        with memory_errors():
            # The first unit of a process makes them for all: that is not its own time.
            held_out = held_out_features(teacher, recipe.validation)
            lesson = training_features(teacher, recipe.images, recipe.batch_size, seed)
            began = time.perf_counter()
            trainee = _Trainee(self, differing[0], seed, lesson)
            training = trainee.training
            with images_counted(lambda: training.images_seen):
                finish(train_within(training, trainee.batches(lesson), began, self.time_limit_s))
                logits = trainee.logits(held_out)
                evaluation = _judge(logits, held_out, recipe.images, began)
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

    def __init__(self, plan: UnitTraining, unit: int, seed: int, lesson: Features) -> None:
        setting, self._unit = plan.teacher.setting, unit
        self._teacher = trained(plan.teacher)
        network = Network(setting.space.graph(plan.arch))
        initialise(network, seed, still_branches=True)
        own = _Layers(parts_of(network.graph)[unit + 1], network)
        _take_first_blocks(own, self._teacher)
        error = _divergence if unit == len(UNITS) - 1 else _distance(unit + 1, lesson)
        self.training = Training(
            own,
            plan.recipe,
            setting.torch_device,
            loss=lambda value, wanted: error(own(value), wanted),
            record=False,
        )

    def batches(self, lesson: Features) -> list[Batch]:
        """Return what goes into the teacher's unit, and what comes out of it."""
        return [(batch[self._unit], batch[self._unit + 1]) for batch in lesson]

    @torch.inference_mode()
    def logits(self, held_out: Features) -> list[Tensor]:
        """Return what the teacher with this unit says, per batch."""
        unit = self.training.result.eval()
        rest = parts_of(self._teacher.graph)[self._unit + 2 :]
        found = []
        for batch in held_out:
            value = unit(batch[self._unit])
            for part in rest:
                value = run_layers(part, self._teacher.layers, value)
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


def _distance(part: int, lesson: Features) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the mean squared difference, each channel in its own standard deviation."""
    first = torch.cat([batch[part] for batch in lesson[:STANDARD_BATCHES]])
    scale = first.std((0, 2, 3), keepdim=True).clamp_min(1e-6).reciprocal()
    return lambda value, wanted: ((value - wanted) * scale).square().mean()


def _divergence(value: Tensor, wanted: Tensor) -> Tensor:
    """Return the cross-entropy with the teacher's probabilities."""
    return functional.cross_entropy(value, wanted.softmax(1))


def _judge(logits: list[Tensor], held_out: Features, images: int, began: float) -> Evaluation:
    """Return the evaluation of class scores against the teacher's."""
    own = torch.cat(logits).float().log_softmax(1).double()
    teacher = torch.cat([batch[-1] for batch in held_out]).float().log_softmax(1).double()
    divergence = (teacher.exp() * (teacher - own)).sum(1)
    if not math.isfinite(mean := divergence.mean().item()):
        raise EvaluationFailed("training diverged: no finite class scores")
    score = math.exp(-min(mean, LARGEST))
    stderr = score * divergence.std(correction=0).item() / math.sqrt(len(own))
    return Evaluation(score, None, None, stderr, images, time.perf_counter() - began)
