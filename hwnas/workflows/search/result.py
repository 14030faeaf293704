"""What a search leaves behind: the content of search.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hwnas.search.bound import bound_on_optimum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.cost import Cost, Problem
    from hwnas.evaluate.evaluation import Evaluation
    from hwnas.search.ledger import Job, Ledger, Step
    from hwnas.spaces import Arch
    from hwnas.workflows.search.scores import Ahead

JUDGED = "finalists scored again with more training"


@dataclass(frozen=True)
class SearchResult:
    """Everything that was found.

    Attributes:
        problem: space and budgets.
        costs: what is reported of every network.
        strategy: its name.
        ledger: scores, paths and audit.
        seen: candidate evaluations.
        finalists: the networks with the best scores, best first, one of which wins.
        judged: scores of the finalists and the start network by the judge, failed ones included;
            may be empty.
        score_source: what scores are, where no judge gave them.
        ahead: what idle workers evaluated before it was needed. Of all content this alone depends
            on the number of workers.
        parts: evaluations that candidates' scores are composed of, where they are.
        teacher_images: images that teachers were trained on.
        together: scores that the finalists were chosen by, where they are others than candidates',
            failed ones included.
        made_with: evaluator, data, geometry, device, recipes and versions, as JSON.
    """

    problem: Problem
    costs: Sequence[Cost]
    strategy: str
    ledger: Ledger
    seen: Mapping[Job, Evaluation]
    finalists: Sequence[Arch]
    judged: Mapping[Arch, Evaluation]
    score_source: str
    ahead: Ahead
    parts: Mapping[Job, Evaluation] = field(default_factory=dict)
    teacher_images: int = 0
    together: Mapping[Arch, Evaluation] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> dict[Arch, Evaluation]:
        """Whom the judge could score."""
        return unfailed(self.judged)

    @property
    def screened(self) -> dict[Arch, Evaluation]:
        """Whom the screen could score."""
        return unfailed(self.together)

    @property
    def winner(self) -> Arch:
        """The finalist that the judge puts first; without a judge the first one.

        The start network is judged to be compared with, and wins only as a finalist: a short
        training shows little of what depth is worth, and would take it too often.
        """
        judged = self.final
        found = [arch for arch in self.finalists if arch in judged]
        return max(found, key=lambda arch: judged[arch].score) if found else self.finalists[0]

    def to_json(self, run: str) -> dict[str, Any]:
        """Return the content of search.json."""
        space, winner = self.problem.space, self.winner
        start = space.canonical(self.problem.start())
        return {
            "run": run,
            "strategy": self.strategy,
            "space": space.name,
            "arch": space.format(winner),
            **_scores(self._evaluation(winner)),
            "score_source": JUDGED if winner in self.final else self.score_source,
            "evaluations": self.ledger.evaluations,
            "trained": self._trained(),
            "made_with": dict(self.made_with),
            "complete": self.ledger.complete,
            "ahead": self.ahead._asdict(),
            "costs": self._costs(winner),
            "cost_labels": {cost.name: cost.label for cost in self.costs},
            "cost_units": {cost.name: cost.dimension.base for cost in self.costs},
            "budgets": budget_uses(self.problem, winner),
            "start": self._network(start) | _scores(self._evaluation(start)),
            "rules": self._rules(),
            "screened": [self._network(a) | _scores(e) for a, e in self.screened.items()],
            "finalists": [self._network(a) | _scores(e) for a, e in self.final.items()],
            "path": self._path(),
            "audit": self._audit(),
            "networks": self._networks(),
            "failed": {
                space.format(arch): evaluation.failed
                for (arch, _), evaluation in [*self.seen.items(), *self.parts.items()]
                if evaluation.failed is not None
            },
        }

    def _trained(self) -> dict[str, int]:
        """Return how many trainings scores took, and on how many images, failed ones included.

        "networks" and "images" are those of candidates, of parts and of what was put together.
        """
        found = [*self.seen.values(), *self.parts.values(), *self.together.values()]
        images = [evaluation.images for evaluation in found if evaluation.images]
        return {
            "networks": len(images),
            "images": sum(images),
            "teacher_images": self.teacher_images,
            "judge_images": sum(evaluation.images for evaluation in self.judged.values()),
        }

    def _evaluation(self, arch: Arch) -> Evaluation:
        return self.final.get(arch) or self.seen[arch, 0]

    def _audit(self) -> dict[str, Any]:
        """Return how far the assumptions held and what can be said of the optimum."""
        audit = self.ledger.audit
        return {
            "stale_bounds": audit.stale_bounds,
            "violated": audit.violated,
            "raced": audit.raced,
            "optimum_at_most": bound_on_optimum(self.problem, self.ledger),
            "gains": {
                rule: [step.gain for step in path[1:]] for rule, path in self.ledger.paths.items()
            },
        }

    def _networks(self) -> list[dict[str, Any]]:
        """Return every network that has a score, for `hwnas pick` and for plots."""
        space = self.problem.space
        return [
            {"arch": space.format(arch), "score": score, "stderr": self.ledger.stderr(arch)}
            for arch, score in self.ledger.scored.items()
        ]

    def _network(self, arch: Arch) -> dict[str, Any]:
        return {"arch": self.problem.space.format(arch), "costs": self._costs(arch)}

    def _costs(self, arch: Arch) -> dict[str, float]:
        return {cost.name: cost.of(arch) for cost in self.costs}

    def _rules(self) -> dict[str, dict[str, Any]]:
        space = self.problem.space
        best = {
            rule: max(path, key=lambda step: step.score)
            for rule, path in self.ledger.paths.items()
            if path
        }
        return {
            rule: {"arch": space.format(space.canonical(step.arch)), "score": step.score}
            for rule, step in best.items()
        }

    def _path(self) -> list[dict[str, Any]]:
        return [
            self._step(index, step)
            for path in self.ledger.paths.values()
            for index, step in enumerate(path)
        ]

    def _step(self, index: int, step: Step) -> dict[str, Any]:
        space = self.problem.space
        network = space.canonical(step.arch)
        return {
            "rule": step.rule,
            "step": index,
            "added": None if step.element is None else space.describe(step.element),
            "gain": step.gain,
            **self._network(network),
            **_scores(self.seen[network, 0]),
        }


def unfailed(found: Mapping[Arch, Evaluation]) -> dict[Arch, Evaluation]:
    """Return the evaluations that are scores."""
    return {arch: evaluation for arch, evaluation in found.items() if evaluation.failed is None}


def budget_uses(problem: Problem, arch: Arch) -> dict[str, dict[str, Any]]:
    """Return each budget, and what a network uses of it."""
    return {
        budget.cost.name: {
            "limit": budget.limit,
            "unit": budget.cost.dimension.base,
            "bound": budget.cost.upper(arch),
            "use": budget.use(arch),
            "margin": budget.cost.margin,
            "label": budget.cost.label,
        }
        for budget in problem.budgets
    }


def _scores(evaluation: Evaluation) -> dict[str, float | None]:
    return {
        "score": evaluation.score,
        "score_stderr": evaluation.stderr,
        "accuracy": evaluation.accuracy,
    }
