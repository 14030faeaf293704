"""Several teachers: what a unit loses against one of them is partly that one's own taste."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.evaluate.distill.teacher import Teacher
from hwnas.evaluate.distill.transplant import TransplantEvaluator
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.failures import collected
from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from hwnas.evaluate.setting import Setting
    from hwnas.spaces import Arch
    from hwnas.train.recipe import Recipe

SMALLEST = 1e-6
"""Divergence below which units are alike, nats."""


@dataclass(frozen=True)
class Committee:
    """Scores a unit by the geometric mean of its divergences from several teachers.

    The score is exp(-divergence), as of one teacher. What one teacher says by chance, the others
    do not: the order by the mean of several is nearer to the truth (`docs/results.md`).

    Attributes:
        members: one per teacher, at least one.
    """

    members: tuple[TransplantEvaluator, ...]

    @classmethod
    def of(
        cls,
        setting: Setting,
        teacher: Recipe,
        unit: Recipe,
        seed: int,
        folder: Path,
        *,
        time_limit_s: float | None = None,
        count: int,
    ) -> Self:
        """Return a committee of teachers that differ in their seeds alone, none trained yet.

        Args:
            setting: geometry, data and device.
            teacher: recipe of a teacher.
            unit: recipe of a unit.
            seed: of all.
            folder: of the teachers' checkpoints.
            time_limit_s: of the training of a unit, or None.
            count: how many teachers.
        """
        seeds = [derive(seed, "teacher", number) for number in range(count)]
        teachers = [Teacher(setting, teacher, own, folder) for own in seeds]
        return cls(
            tuple(
                TransplantEvaluator(one, unit, one.seed, time_limit_s=time_limit_s)
                for one in teachers
            )
        )

    @property
    def teachers(self) -> tuple[Teacher, ...]:
        """The members' teachers, to be trained before anything is scored."""
        return tuple(member.teacher for member in self.members)

    def identity(self) -> dict[str, Any]:
        """Return what decides the score."""
        return {
            "evaluator": "committee",
            "version": 1,
            "members": [member.identity() for member in self.members],
        }

    @property
    def longest_s(self) -> float | None:
        """The time limits of all members together."""
        limits = [member.time_limit_s for member in self.members]
        return sum(limit or 0.0 for limit in limits) if any(limits) else None

    @property
    def setting(self) -> Setting:
        """The geometry and the data, the same for all members."""
        return self.members[0].teacher.setting

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        """Train a unit for every teacher; images are those of all trainings.

        Raises:
            EvaluationFailed, MemoryError, UserError: as `TransplantEvaluator.evaluate`.
        """
        return mean(collected(member.evaluate(arch, replicate) for member in self.members))


def mean(found: Sequence[Evaluation]) -> Evaluation:
    """Return one evaluation of several with scores exp(-divergence), by their geometric mean.

    Accuracy and cross-entropy are left out: teachers differ in them more than units do.
    """
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
