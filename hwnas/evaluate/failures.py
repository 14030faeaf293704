"""What a failed evaluation had trained by then: images are spent, whatever came of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwnas.errors import EvaluationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hwnas.evaluate.evaluation import Evaluation


@contextmanager
def images_counted(images: Callable[[], int]) -> Iterator[None]:
    """Let a failure of the body tell how many images were trained on.

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
