"""The evaluator that trains nothing: the volume of a network's activations."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.evaluate.evaluation import Evaluation

if TYPE_CHECKING:
    from hwnas.spaces import Arch, RcnetSpace


@dataclass(frozen=True)
class ZeroCostEvaluator:
    """Scores a network by the logarithm of its activation count, over all operations, one image.

    Of the scores without training that were compared with long trainings (`docs/results.md`), none
    orders networks better on all sets: not MAdds, parameters, the distinctness of activation
    patterns at initialisation (NASWOT; Mellor et al., ICML 2021), nor gradient statistics (ZiCo; Li
    et al., ICLR 2023), which order networks of one budget best and single additions wrongly.

    Attributes:
        space: the geometry at which activations are counted.
    """

    space: RcnetSpace

    def identity(self) -> dict[str, Any]:
        """Return the geometry: nothing else decides the score."""
        return {"evaluator": "zero-cost", "version": 1, "space": asdict(self.space)}

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:  # noqa: ARG002
        """Return the score, exact: the same for every replicate."""
        return Evaluation.known(math.log(activations(self.space, arch)))


def activations(space: RcnetSpace, arch: Arch) -> int:
    """Return how many numbers all operations of a network give out for one image."""
    return sum(math.prod(node.shape) for node in space.graph(arch))
