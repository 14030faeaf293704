"""What a search leaves behind: the content of search.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hwnas.search.bound import bound_on_optimum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.cost import Cost, Problem
    from hwnas.evaluate.evaluation import Evaluation
    from hwnas.search.ledger import Ledger, Step
    from hwnas.spaces import Arch, Job
    from hwnas.workflows.search.evaluators import Scoring

JUDGED = "finalists scored again with more training"


@dataclass(frozen=True)
class SearchResult:
    """Everything that was found.

    Attributes:
        problem: space and budgets.
        costs: what is reported of every network.
        scoring: who scored.
        ledger: scores, paths and audit.
        seen: candidate evaluations.
        finalists: the networks with the best scores, best first, one of which wins.
        judged: scores of the finalists and the start network by the judge, failed ones included;
            may be empty.
        together: scores that the finalists were chosen by, where they are others than candidates',
            failed ones included.
        parts: evaluations that candidates' scores are composed of, where they are.
    """

    problem: Problem
    costs: Sequence[Cost]
    scoring: Scoring
    ledger: Ledger
    seen: Mapping[Job, Evaluation]
    finalists: Sequence[Arch]
    judged: Mapping[Arch, Evaluation]
    together: Mapping[Arch, Evaluation] = field(default_factory=dict)
    parts: Mapping[Job, Evaluation] = field(default_factory=dict)

    @property
    def final(self) -> dict[Arch, Evaluation]:
        """Whom the judge could score."""
        return unfailed(self.judged)

    @property
    def winner(self) -> Arch:
        """The finalist that the judge puts first; without a judge the first one.

        The start network is judged to be compared with, and wins only as a finalist: a short
        training shows little of what depth is worth, and would take it too often.
        """
        judged = self.final
        found = [arch for arch in self.finalists if arch in judged]
        return max(found, key=lambda arch: judged[arch].score) if found else self.finalists[0]

    def to_json(self) -> dict[str, Any]:
        """Return what search.json says of networks and their scores."""
        space, winner = self.problem.space, self.winner
        start = space.canonical(self.problem.start())
        return {
            "space": space.name,
            "arch": space.format(winner),
            **_scores(self._evaluation(winner)),
            "score_source": JUDGED if winner in self.final else self.scoring.source,
            "evaluations": self.ledger.evaluations,
            "trained": self._trained(),
            "complete": self.ledger.complete,
            **told_costs(self.problem, self.costs, winner),
            "start": self._network(start, self._evaluation(start)),
            "rules": self._rules(),
            "screened": [self._network(*one) for one in unfailed(self.together).items()],
            "finalists": [self._network(*one) for one in self.final.items()],
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
            "teacher_images": sum(teacher.recipe.images for teacher in self.scoring.teachers),
            "judge_images": sum(evaluation.images for evaluation in self.judged.values()),
        }

    def _evaluation(self, arch: Arch) -> Evaluation:
        return self.final.get(arch) or self.seen[arch, 0]

    def _audit(self) -> dict[str, Any]:
        """Return how far the assumptions held and what can be said of the optimum."""
        return {
            **asdict(self.ledger.audit),
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

    def _network(self, arch: Arch, evaluation: Evaluation) -> dict[str, Any]:
        return {
            "arch": self.problem.space.format(arch),
            "costs": {cost.name: cost.of(arch) for cost in self.costs},
            **_scores(evaluation),
        }

    def _rules(self) -> dict[str, dict[str, Any]]:
        space, found = self.problem.space, {}
        for rule, path in self.ledger.paths.items():
            if path:
                best = max(path, key=lambda step: step.score)
                arch = space.format(space.canonical(best.arch))
                found[rule] = {"arch": arch, "score": best.score}
        return found

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
            **self._network(network, self.seen[network, 0]),
        }


def unfailed(found: Mapping[Arch, Evaluation]) -> dict[Arch, Evaluation]:
    """Return the evaluations that are scores."""
    return {arch: evaluation for arch, evaluation in found.items() if evaluation.failed is None}


def told_costs(problem: Problem, costs: Sequence[Cost], arch: Arch) -> dict[str, Any]:
    """Return costs of a network with their labels and units, and what it uses of each budget."""
    return {
        "costs": {cost.name: cost.of(arch) for cost in costs},
        "cost_labels": {cost.name: cost.label for cost in costs},
        "cost_units": {cost.name: cost.dimension.base for cost in costs},
        "budgets": {
            budget.cost.name: {
                "limit": budget.limit,
                "unit": budget.cost.dimension.base,
                "bound": budget.cost.upper(arch),
                "use": budget.use(arch),
                "margin": budget.cost.margin,
                "label": budget.cost.label,
            }
            for budget in problem.budgets
        },
    }


def _scores(evaluation: Evaluation) -> dict[str, float | None]:
    return {
        "score": evaluation.score,
        "score_stderr": evaluation.stderr,
        "accuracy": evaluation.accuracy,
    }
