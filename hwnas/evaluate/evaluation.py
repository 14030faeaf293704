"""The score of one network, and who gives it."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hwnas.errors import EvaluationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    import torch

    from hwnas.spaces import Arch
    from hwnas.train.metrics import Metrics


LARGEST = 700.0
"""Cross-entropy, in nats, from which on its exponential is hardly a number: chance is below 10."""


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
        may_pass: whether that may have been the machine's doing: the next search tries again.
    """

    score: float
    accuracy: float | None
    cross_entropy: float | None
    stderr: float
    images: int
    seconds: float = field(compare=False)
    failed: str | None = None
    may_pass: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no number: whoever scores, it is found out here.

        Raises:
            EvaluationFailed: training diverged.
        """
        values = (self.score, self.accuracy, self.cross_entropy, self.stderr)
        if not all(math.isfinite(value) for value in values if value is not None):
            raise EvaluationFailed(
                f"training diverged: score {self.score}, accuracy {self.accuracy}, "
                f"cross-entropy {self.cross_entropy}"
            )

    @classmethod
    def of(cls, metrics: Metrics, *, images: int, seconds: float) -> Evaluation:
        """Return the evaluation of a network that was trained.

        Raises:
            EvaluationFailed: training diverged, so far that the score is no number above zero.
        """
        loss = metrics.cross_entropy
        # Not `> LARGEST`: an infinite or missing number has to fail as well.
        if not loss < LARGEST:
            raise EvaluationFailed(f"training diverged: cross-entropy {loss:g}")
        score = math.exp(-loss)
        stderr = score * metrics.cross_entropy_stderr
        return cls(score, metrics.accuracy, loss, stderr, images, seconds)

    @classmethod
    def known(cls, score: float) -> Evaluation:
        """Return the evaluation of a network whose exact score is on record."""
        return cls(score, None, None, 0.0, 0, 0.0)

    @classmethod
    def failure(cls, reason: str, images: int = 0, *, may_pass: bool = False) -> Evaluation:
        """Return the record of a network that could not be scored, and of what it had cost."""
        return cls(0.0, None, None, 0.0, images, 0.0, reason, may_pass)

    def __str__(self) -> str:
        if self.failed is not None:
            return "failed"
        if self.accuracy is None:
            return f"score {self.score:.6g}"
        return f"score {self.score:.4f}  accuracy {self.accuracy:6.1%}"


@contextmanager
def images_counted(images: Callable[[], int]) -> Iterator[None]:
    """Let a failure of the body tell how many images were trained on: they are spent.

    Args:
        images: returns how many, when it has failed.
    """
    try:
        yield
    except EvaluationFailed as error:
        error.images += images()
        raise


def collected(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Return all evaluations, each done when its turn comes; a failure counts those before it.

    Raises:
        EvaluationFailed: of the first one that fails.
    """
    found: list[Evaluation] = []
    with images_counted(lambda: sum(evaluation.images for evaluation in found)):
        for evaluation in evaluations:
            found.append(evaluation)  # noqa: PERF402 - what is there when one fails counts
    return found


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
class Limited(Protocol):
    """An evaluator whose trainings may have a time limit."""

    @property
    def longest_s(self) -> float | None:
        """Seconds that all trainings of an evaluation may take together; None for no limit."""


@runtime_checkable
class Composed(Protocol):
    """An evaluator whose scores follow from those of parts that many networks share."""

    @property
    def part(self) -> Evaluator:
        """Scores one part; parts are written as archs too."""

    def parts(self, arch: Arch) -> list[Arch]:
        """Return the parts of a network."""

    def whole(self, parts: Sequence[Arch]) -> Arch:
        """Return the canonical network that has these parts, in order."""

    def compose(self, arch: Arch, found: Sequence[Evaluation]) -> Evaluation:
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
