"""The evaluator that puts together what the units of a network lose against those of teachers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.evaluate.distill.committee import divergence, relative_error
from hwnas.evaluate.distill.units import FRAME, swapped, units_of
from hwnas.evaluate.evaluation import Evaluation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.evaluate.distill.committee import Committee
    from hwnas.spaces import Arch

PER_BLOCK = 0.05
"""What a block is worth beyond what units show of it: the few dozen steps that a unit is trained
are too few for deep ones, which then look no better than wide ones (`docs/results.md`)."""


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
