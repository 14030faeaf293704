"""Scores through the store: what has been evaluated once is never evaluated again."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.pool import EvaluationPool
from hwnas.files import fingerprint
from hwnas.store import EvaluationStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.progress import Advance
    from hwnas.spaces import Arch, RcnetSpace


@dataclass(slots=True)
class Scorer:
    """One evaluator with its store and its worker processes."""

    space: RcnetSpace
    store: EvaluationStore
    pool: EvaluationPool

    def score(self, archs: Sequence[Arch], advance: Advance) -> dict[Arch, Evaluation]:
        """Return the evaluation of every network; each is committed as soon as it is done."""
        found: dict[Arch, Evaluation] = {}
        for arch in archs:
            stored = self.store.get(self.space.format(arch))
            if stored is not None:
                found[arch] = Evaluation.from_json(stored)
                advance(1, "known from before")
        missing = [(arch, 0) for arch in archs if arch not in found]
        for arch, replicate, evaluation in self.pool.map(missing):
            self.store.put(self.space.format(arch), replicate, evaluation.to_json())
            found[arch] = evaluation
            advance(1, f"accuracy {evaluation.accuracy:.1%}")
        return found


@contextmanager
def open_scorer(
    space: RcnetSpace, evaluator: Evaluator, workers: int, store_path: Path
) -> Iterator[Scorer]:
    """Open store and workers for one evaluator.

    Raises:
        UserError: the store cannot be used.
    """
    identity = evaluator.identity()
    with (
        open_store(store_path, fingerprint(identity), identity) as store,
        EvaluationPool(evaluator, workers) as pool,
    ):
        yield Scorer(space, store, pool)
