"""Scores by what the units of a network lose against those of several teachers.

What a unit loses against one of them is partly that one's own taste.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.evaluate.distill.unit_training import UnitTraining
from hwnas.evaluate.distill.units import FRAME, swapped, units_of
from hwnas.evaluate.evaluation import Evaluation, collected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.evaluate.distill.teacher import Teacher
    from hwnas.evaluate.setting import Setting
    from hwnas.spaces import Arch
    from hwnas.train.recipe import Recipe

SMALLEST = 1e-6
"""Divergence below which units are alike, nats."""

PER_BLOCK = 0.05
"""What a block is worth beyond what units show of it: the few dozen steps that a unit is trained
are too few for deep ones, which then look no better than wide ones (`docs/results.md`)."""


@dataclass(frozen=True)
class Committee:
    """Scores a unit by the geometric mean of its divergences from several teachers.

    The score is exp(-divergence), as of one teacher. What one teacher says by chance, the others
    do not: the order by the mean of several is nearer to the truth (`docs/results.md`).

    Attributes:
        teachers: at least one, to be trained before anything is scored.
        recipe: training of a unit, once per teacher.
        time_limit_s: of one such training; None for no limit.
    """

    teachers: tuple[Teacher, ...]
    recipe: Recipe
    time_limit_s: float | None = None

    def identity(self) -> dict[str, Any]:
        """Return what decides the score."""
        return {
            "evaluator": "committee",
            "version": 2,
            "teachers": [teacher.identity() for teacher in self.teachers],
            "recipe": asdict(self.recipe),
            "time_limit_s": self.time_limit_s,
        }

    @property
    def longest_s(self) -> float | None:
        """The time limits of all trainings together."""
        return None if self.time_limit_s is None else len(self.teachers) * self.time_limit_s

    @property
    def setting(self) -> Setting:
        """The geometry and the data, the same for all teachers."""
        return self.teachers[0].setting

    def training(self, teacher: Teacher, arch: Arch, replicate: int) -> UnitTraining:
        """Return the training of a unit, written as the frame with it, for one of the teachers."""
        return UnitTraining(teacher, self.recipe, arch, replicate, self.time_limit_s)

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        """Train a unit for every teacher; images are those of all trainings.

        Raises:
            EvaluationFailed, MemoryError, UserError: as `UnitTraining.evaluate`.
        """
        found = (self.training(one, arch, replicate).evaluate() for one in self.teachers)
        return mean(collected(found))


def mean(found: Sequence[Evaluation]) -> Evaluation:
    """Return one evaluation of several with scores exp(-divergence), by their geometric mean."""
    divergences = [divergence(evaluation) for evaluation in found]
    common = math.exp(sum(map(math.log, divergences)) / len(found))
    # Relative errors of a geometric mean; that of exp(-divergence) is absolute in divergence.
    relative = [relative_error(one) for one in found]
    stderr = common * math.sqrt(sum(error**2 for error in relative)) / len(found)
    return Evaluation(
        math.exp(-common),
        None,
        None,
        math.exp(-common) * stderr,
        sum(evaluation.images for evaluation in found),
        sum(evaluation.seconds for evaluation in found),
    )


def divergence(evaluation: Evaluation) -> float:
    """Return the divergence that a score of exp(-divergence) tells, nats, never quite 0."""
    return max(-math.log(evaluation.score), SMALLEST)


def relative_error(evaluation: Evaluation) -> float:
    """Return the standard error of the logarithm of a divergence."""
    return evaluation.stderr / evaluation.score / divergence(evaluation)


@dataclass(frozen=True)
class DistillEvaluator:
    """Scores a network by its units' divergences from the teachers, and by its depth.

    The score is minus the mean logarithm of the divergences, and `PER_BLOCK` for every block. So
    what counts is by which share a unit comes nearer to the teachers': what a divergence of one
    nat in one place is worth, once the whole network is trained, differs from unit to unit.

    A unit is trained once for all networks that have it, so that most networks of a search cost
    nothing. In a unit the first block of a stage counts as such; the others in any order are one
    unit, as residual blocks bear another order well.

    Attributes:
        part: scores one unit in the teachers.
    """

    part: Committee

    def parts(self, arch: Arch) -> list[Arch]:
        """Return each unit of `arch` in turn, written into the frame."""
        return units_of(self.part.setting.space.canonical(arch))

    def whole(self, parts: Sequence[Arch]) -> Arch:
        """Return the network of these units, one for each place."""
        arch = FRAME
        for unit, part in enumerate(parts):
            arch = swapped(arch, part, unit)
        return self.part.setting.space.canonical(arch)

    def compose(self, arch: Arch, found: Sequence[Evaluation]) -> Evaluation:
        """Return the evaluation of a network from those of its parts, in order."""
        failed = next((part.failed for part in found if part.failed is not None), None)
        if failed is not None:
            return Evaluation.failure(failed)
        imitation = -sum(math.log(divergence(part)) for part in found) / len(found)
        stderr = math.sqrt(sum(relative_error(part) ** 2 for part in found)) / len(found)
        return Evaluation(imitation + PER_BLOCK * blocks(arch), None, None, stderr, 0, 0.0)


def blocks(arch: Arch) -> int:
    """Return how many blocks a network has."""
    return sum(block > 0 for block in arch)
