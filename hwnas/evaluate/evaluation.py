"""The score of one network, and who gives it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Generator

    from hwnas.spaces import Arch


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of one network after one evaluation.

    The score is exp(-cross-entropy), the geometric mean of the probabilities that the network
    gave to the right classes: above zero, at most one, and smoother than accuracy, so that it
    ranks networks with fewer images.

    Attributes:
        score: what the search maximises; 0 if the evaluation failed.
        accuracy: share of held-out images that were classified correctly.
        cross_entropy: mean over the held-out images, nats; infinite if the evaluation failed.
        stderr: standard error of the score from the finite number of held-out images.
        images: how many images the network was trained on.
        seconds: how long it took.
        failed: why there is no score, or None.
    """

    score: float
    accuracy: float
    cross_entropy: float
    stderr: float
    images: int
    seconds: float = field(compare=False)
    failed: str | None = None

    @classmethod
    def of(
        cls,
        accuracy: float,
        cross_entropy: float,
        cross_entropy_stderr: float,
        *,
        images: int,
        seconds: float,
    ) -> Evaluation:
        """Return the evaluation of a network that was trained."""
        score = math.exp(-cross_entropy)
        stderr = score * cross_entropy_stderr
        return cls(score, accuracy, cross_entropy, stderr, images, seconds)

    @classmethod
    def failure(cls, reason: str) -> Evaluation:
        """Return the record of a network that could not be scored."""
        return cls(0.0, 0.0, math.inf, 0.0, 0, 0.0, reason)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; an infinite cross-entropy becomes null."""
        values = asdict(self)
        if math.isinf(self.cross_entropy):
            values["cross_entropy"] = None
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Evaluation:
        """Return what `to_json` was given."""
        entropy = values["cross_entropy"]
        return cls(**{**values, "cross_entropy": math.inf if entropy is None else entropy})


class Evaluator(Protocol):
    """Scores networks. Picklable, so that worker processes can have it."""

    def identity(self) -> dict[str, Any]:
        """Return, as JSON, everything that decides a score apart from arch and replicate."""

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        """Return the score of `arch`; each replicate is an independent repetition.

        Equal arguments give equal scores in every process.

        Raises:
            EvaluationFailed: training diverged.
            MemoryError: the network is too large for this machine.
        """


@runtime_checkable
class SideBySide(Protocol):
    """An evaluator that can have several networks in work in one process, on one GPU."""

    @property
    def lanes(self) -> int:
        """How many."""

    def work(self, arch: Arch, replicate: int = 0) -> Generator[None, None, Evaluation]:
        """Do what `evaluate` does, giving way now and then."""
