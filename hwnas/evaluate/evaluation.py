"""The score of one network, and who gives it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import torch

    from hwnas.spaces import Arch


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of one network after one evaluation.

    The score of a network that was trained is exp(-cross-entropy), the geometric mean of the
    probabilities that it gave to the right classes: above zero, at most one, and smoother than
    accuracy, so that it ranks networks with fewer images. Another evaluator's score may be any
    number, the larger the better.

    Attributes:
        score: what the search maximises; 0 if the evaluation failed.
        accuracy: share of held-out images that were classified correctly; None if no network was
            run.
        cross_entropy: mean over the held-out images, nats; None if no network was run.
        stderr: standard error of the score from the finite number of held-out images.
        images: how many images the network was trained on; if it failed, as far as known.
        seconds: how long it took.
        failed: why there is no score, or None.
    """

    score: float
    accuracy: float | None
    cross_entropy: float | None
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
    def known(cls, score: float) -> Evaluation:
        """Return the evaluation of a network whose exact score is on record."""
        return cls(score, None, None, 0.0, 0, 0.0)

    @classmethod
    def failure(cls, reason: str, images: int = 0) -> Evaluation:
        """Return the record of a network that could not be scored, and of what it had cost."""
        return cls(0.0, None, None, 0.0, images, 0.0, reason)

    def __str__(self) -> str:
        if self.failed is not None:
            return "failed"
        if self.accuracy is None:
            return f"score {self.score:.6g}"
        return f"score {self.score:.4f}  accuracy {self.accuracy:6.1%}"

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Evaluation:
        """Return what `to_json` was given."""
        return cls(**values)


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
class Composed(Protocol):
    """An evaluator whose scores follow from those of parts that many networks share."""

    @property
    def part(self) -> Evaluator:
        """Scores one part; parts are written as archs too."""

    def identity(self) -> dict[str, Any]:
        """Return, as JSON, everything that decides a score."""

    def parts(self, arch: Arch) -> list[Arch]:
        """Return the parts of a network."""

    def compose(self, found: Sequence[Evaluation]) -> Evaluation:
        """Return the evaluation of a network from those of its parts, in order."""


@runtime_checkable
class SideBySide(Protocol):
    """An evaluator that can have several networks in work in one process, on one GPU."""

    @property
    def lanes(self) -> int:
        """How many."""

    @property
    def torch_device(self) -> torch.device:
        """Where they are trained."""

    def work(self, arch: Arch, replicate: int = 0) -> Generator[None, None, Evaluation]:
        """Do what `evaluate` does, giving way now and then."""
