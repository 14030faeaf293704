"""Scores of networks from scores of parts, each scored once for all networks that share it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hwnas.evaluate.evaluation import Composed, Evaluation
    from hwnas.evaluate.workers.job import Job
    from hwnas.progress import Advance
    from hwnas.workflows.search.stored_scores import Ahead, Scorer


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

    @property
    def ahead(self) -> Ahead:
        """How many parts were scored ahead of need, and what it was good for."""
        return self.scorer.ahead

    def score(
        self, needed: Sequence[Job], advance: Advance, ahead: Iterable[Job] = ()
    ) -> dict[Job, Evaluation]:
        """Return the evaluation of every needed network."""
        wanted = {job: list(self._parts_of(job)) for job in needed}
        missing = dict.fromkeys(
            part for parts in wanted.values() for part in parts if part not in self.parts
        )
        later = (part for job in ahead for part in self._parts_of(job) if part not in self.parts)
        with Silent().task("parts", len(missing)) as uncounted:
            self.parts |= self.scorer.score(list(missing), uncounted, dict.fromkeys(later))
        found = {}
        for job, parts in wanted.items():
            found[job] = self.composed.compose(job[0], [self.parts[part] for part in parts])
            advance(1, str(found[job]))
        return found

    def _parts_of(self, job: Job) -> Iterator[Job]:
        arch, replicate = job
        return ((part, replicate) for part in self.composed.parts(arch))
