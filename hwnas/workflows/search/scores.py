"""Scores through the store: what has been evaluated once is never evaluated again.

Where scores are composed of those of parts, each part is scored once for all networks that share
it.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.workers.pool import open_pool
from hwnas.files import fingerprint
from hwnas.store import EvaluationStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hwnas.evaluate.evaluation import Composed, Evaluator
    from hwnas.evaluate.workers.pool import Pool
    from hwnas.progress import Advance
    from hwnas.spaces import Job, Space


LARGEST_LOSS_S = 0.05
"""Seconds of evaluation that a kill may cost; a commit takes about a millisecond."""


class Ahead(NamedTuple):
    """Evaluations that idle workers began before they were needed.

    Attributes:
        evaluated: those that were done.
        used: those of them that were needed later.
    """

    evaluated: int = 0
    used: int = 0


@dataclass(slots=True)
class Scorer:
    """One evaluator with its store and its workers."""

    space: Space
    store: EvaluationStore
    pool: Pool
    _done: set[Job] = field(default_factory=set)
    _used: set[Job] = field(default_factory=set)

    @property
    def ahead(self) -> Ahead:
        """How much was done ahead of need, and what it was good for."""
        done = self._done & self.pool.begun_ahead
        return Ahead(len(done), len(done & self._used))

    def score(
        self, needed: Sequence[Job], advance: Advance, ahead: Iterable[Job] = ()
    ) -> dict[Job, Evaluation]:
        """Return the evaluation of every needed job; each is committed as soon as it is done.

        Jobs that were done ahead are committed too, and found in the store when they are needed.
        """
        found: dict[Job, Evaluation] = {}
        self._used.update(needed)
        for job in needed:
            if (stored := self._stored(job)) is not None:
                found[job] = stored
                advance(1, "known from before")
        missing = {job: None for job in needed if job not in found}
        if not missing:
            return found
        later = [job for job in ahead if self._stored(job) is None] if self.pool.parallel else []
        with closing(_Batch(self.store)) as batch:
            for (arch, replicate), evaluation in self.pool.results(list(missing), later):
                evaluation = self._for_good((arch, replicate), evaluation)
                batch.add(self.space.format(arch), replicate, evaluation)
                self._done.add((arch, replicate))
                if (arch, replicate) in missing:
                    found[arch, replicate] = evaluation
                    advance(1, str(evaluation))
        return found

    def _stored(self, job: Job) -> Evaluation | None:
        """Return what is known of a job; a failure of an earlier search that may pass is not."""
        found = self._kept(job)
        return None if found and found.may_pass and job not in self._done else found

    def _for_good(self, job: Job, evaluation: Evaluation) -> Evaluation:
        """Return what is to be kept: a second failure does not pass."""
        again = evaluation.may_pass and self._kept(job) is not None
        return replace(evaluation, may_pass=False) if again else evaluation

    def _kept(self, job: Job) -> Evaluation | None:
        arch, replicate = job
        stored = self.store.get(self.space.format(arch), replicate)
        return None if stored is None else Evaluation(**stored)


@dataclass(slots=True)
class _Batch:
    """Results that share a commit: as many as took no longer than what a kill may cost."""

    store: EvaluationStore
    results: list[tuple[str, int, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, network: str, replicate: int, evaluation: Evaluation) -> None:
        self.results.append((network, replicate, asdict(evaluation)))
        self.seconds += evaluation.seconds
        if self.seconds > LARGEST_LOSS_S:
            self.close()

    def close(self) -> None:
        if self.results:
            self.store.put(self.results)
        self.results, self.seconds = [], 0.0


@dataclass(slots=True)
class ComposedScorer:
    """Answers like a `Scorer`; the store and the workers below it see parts alone.

    Attributes:
        composed: knows the parts of a network.
        scorer: of parts.
        parts: what is known of parts.
    """

    composed: Composed
    scorer: Scorer
    parts: dict[Job, Evaluation] = field(default_factory=dict)

    def score(
        self, needed: Sequence[Job], advance: Advance, ahead: Iterable[Job] = ()
    ) -> dict[Job, Evaluation]:
        """Return the evaluation of every needed network."""
        wanted = {job: list(self._parts_of(job)) for job in needed}
        missing = dict.fromkeys(
            part for parts in wanted.values() for part in parts if part not in self.parts
        )
        later = (part for job in ahead for part in self._parts_of(job) if part not in self.parts)
        self.parts |= self.scorer.score(list(missing), lambda *_: None, dict.fromkeys(later))
        found = {}
        for job, parts in wanted.items():
            found[job] = self.composed.compose(job[0], [self.parts[part] for part in parts])
            advance(1, str(found[job]))
        return found

    def _parts_of(self, job: Job) -> Iterator[Job]:
        arch, replicate = job
        return ((part, replicate) for part in self.composed.parts(arch))


@contextmanager
def open_scorer(
    space: Space, evaluator: Evaluator, workers: int, store_path: Path, *, ray: bool = False
) -> Iterator[Scorer]:
    """Open store and workers for one evaluator.

    Args:
        space: of the networks.
        evaluator: scores them.
        workers: see `open_pool`.
        store_path: the store's file.
        ray: see `open_pool`.

    Raises:
        UserError: the store cannot be used.
    """
    identity = evaluator.identity()
    with (
        open_store(store_path, fingerprint(identity), identity) as store,
        open_pool(evaluator, workers, ray=ray) as pool,
    ):
        yield Scorer(space, store, pool)
