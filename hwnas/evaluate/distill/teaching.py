"""Training of the teachers, by whoever trains candidates: side by side where there are workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.distill.teacher import ADVICE, TEACHER
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.workers.pool import open_pool
from hwnas.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.evaluate.distill.teacher import Teacher
    from hwnas.progress import Reporter
    from hwnas.spaces import Arch


@dataclass(frozen=True)
class Teaching:
    """An evaluator of teachers: replicate n is the n-th of them, and stays on disk.

    Attributes:
        teachers: to be trained; one that has been trained is taken as it is.
    """

    teachers: tuple[Teacher, ...]

    def identity(self) -> dict[str, Any]:
        """Return what decides the weights."""
        return {"teachers": [teacher.identity() for teacher in self.teachers]}

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:  # noqa: ARG002
        """Train one teacher, or go on where that was stopped.

        Raises:
            EvaluationFailed: training diverged.
        """
        teacher = self.teachers[replicate]
        result = teacher.train(Silent())
        images, seconds = teacher.recipe.images, result.seconds
        return Evaluation(0.0, result.accuracy, None, 0.0, images, seconds)


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
        _side_by_side(missing, reporter, workers, ray=ray)


def _side_by_side(
    teachers: tuple[Teacher, ...], reporter: Reporter, workers: int, *, ray: bool
) -> None:
    what = f"training {len(teachers)} teachers, {teachers[0].recipe.images:,} images each"
    size = workers if ray else min(workers, len(teachers))
    with (
        open_pool(Teaching(teachers), size, ray=ray) as pool,
        reporter.task(what, len(teachers)) as advance,
    ):
        for _, found in pool.results([(TEACHER, number) for number in range(len(teachers))]):
            if found.failed is not None:
                # One that diverged tells itself what to do; a process that died cannot.
                remedy = f". {ADVICE.full}." if found.may_pass else ""
                raise EvaluationFailed(f"a teacher could not be trained: {found.failed}{remedy}")
            advance(1, f"accuracy {found.accuracy:.1%}")
