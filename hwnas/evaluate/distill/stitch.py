"""Networks put together from units that were trained one by one, then trained as a whole, shortly.

What units lose one by one says little of how they work together, and what a network's own short
training says from random weights is mostly luck.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from hwnas.evaluate.distill.evaluator import SMALLEST, divergence
from hwnas.evaluate.distill.teacher import trained
from hwnas.evaluate.distill.units import UNITS, ordered, parts_of, units_of
from hwnas.evaluate.evaluation import Evaluation, collected, images_counted
from hwnas.evaluate.trainer import train_and_score
from hwnas.models.network import Network, module_name
from hwnas.seeds import derive
from hwnas.train.full_memory import memory_errors
from hwnas.train.lanes import finish
from hwnas.train.loop import Training
from hwnas.train.metrics import measure

if TYPE_CHECKING:
    from hwnas.evaluate.distill.evaluator import Committee
    from hwnas.evaluate.distill.teacher import Teacher
    from hwnas.spaces import Arch
    from hwnas.train.recipe import Recipe

VERSION = 1
"""To be raised with any change that changes scores."""


@dataclass(frozen=True)
class StitchEvaluator:
    """Scores a network by its cross-entropies as put together, and after a short training.

    The score is minus the mean logarithm of the two, over all teachers. The first
    one, without any luck of its own, counts what the units are worth; the second one, how they
    work together. Accuracy and cross-entropy of the evaluation are those after the training, and
    means over the teachers. The blocks behind the first one of a stage are sorted.

    Attributes:
        part: trains the units.
        recipe: of the training of the whole.
    """

    part: Committee
    recipe: Recipe

    def identity(self) -> dict[str, Any]:
        """Return what decides the score."""
        return {
            "evaluator": "stitch",
            "version": VERSION,
            "part": self.part.identity(),
            "recipe": asdict(self.recipe),
        }

    @property
    def longest_s(self) -> float | None:
        """The time limits of all trainings: of each whole, and of units that are missing."""
        units = self.part.longest_s
        return None if units is None else (1 + len(UNITS)) * units

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        """Put a network together and train it shortly, once per teacher; return its score.

        Units that nobody trained yet are trained.

        Raises:
            EvaluationFailed: a training diverged, or took longer than the limit.
            MemoryError: the network is too large for this machine.
            UserError: there are no trained teachers.
        """
        teachers = self.part.teachers
        found = collected(self._evaluate(teacher, arch, replicate) for teacher in teachers)
        count = len(found)
        return Evaluation(
            sum(one.score for one in found) / count,
            sum(one.accuracy or 0.0 for one in found) / count,
            sum(one.cross_entropy or 0.0 for one in found) / count,
            math.sqrt(sum(one.stderr**2 for one in found)) / count,
            sum(one.images for one in found),
            sum(one.seconds for one in found),
        )

    def _evaluate(self, teacher: Teacher, arch: Arch, replicate: int) -> Evaluation:
        setting = teacher.setting
        network = put_together(self.part, teacher, arch, replicate)
        seed = derive(teacher.seed, "stitch", replicate)
        with memory_errors():
            held_out = setting.held_out("search", self.recipe.validation)
            began = time.perf_counter()
            network.to(setting.torch_device).to(memory_format=torch.channels_last)
            before = measure(network, held_out).cross_entropy
            training = Training(network, self.recipe, setting.torch_device)
            limit_s = self.part.time_limit_s
            work = train_and_score(setting, training, seed, "search", began, limit_s)
            with images_counted(lambda: training.images_seen):
                return _both(before, finish(work))


def put_together(part: Committee, teacher: Teacher, arch: Arch, replicate: int = 0) -> Network:
    """Return the network with the teacher's stem and the trained units, on the CPU.

    Raises:
        EvaluationFailed: a unit's training diverged, or took longer than the limit.
        UserError: there is no trained teacher.
    """
    space = teacher.setting.space
    network = Network(space.graph(ordered(space.canonical(arch))))
    weights = {
        f"{name}.{key}": value
        for name in (module_name(node.name) for node in parts_of(network.graph)[0])
        for key, value in trained(teacher).layers[name].state_dict().items()
    }
    for unit in units_of(space.canonical(arch)):
        weights |= part.training(teacher, unit, replicate).weights()
    for name, value in network.layers.state_dict().items():
        value.copy_(weights[name])
    return network


def _both(before: float, after: Evaluation) -> Evaluation:
    """Return the evaluation by both cross-entropies."""
    loss, first = divergence(after), max(before, SMALLEST)
    stderr = after.stderr / after.score / loss / 2
    return replace(after, score=-(math.log(first) + math.log(loss)) / 2, stderr=stderr)
