"""`hwnas search`: budgets and tables in, the best network that fits and its whole path out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from hwnas.errors import CheckFailed
from hwnas.evaluate.evaluation import Composed
from hwnas.evaluate.workers.ray_tasks import connected
from hwnas.evaluate.zero_cost import ZeroCostEvaluator
from hwnas.search.ledger import Ledger, Score
from hwnas.search.strategy import drive, find_strategy
from hwnas.workflows.search.recombination import combine
from hwnas.workflows.search.result import SearchResult, unfailed
from hwnas.workflows.search.scores import ComposedScorer, open_scorer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hwnas.cost import Cost, Problem
    from hwnas.evaluate.evaluation import Evaluation, Evaluator
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.search.ledger import Ask, Step
    from hwnas.search.strategy import Asking, Options
    from hwnas.spaces import Arch, Job
    from hwnas.workflows.search.evaluators import Scoring
    from hwnas.workflows.search.scores import Ahead, Scorer

FINALISTS = 3

SCREENED = 12
"""Candidates that are scored again to choose the finalists."""

COMBINED = "mix"
"""Path of the networks that were put together from parts of others."""

MOVES = ("start network", "another network")
"""The first step of a path, and a further one that is no added block."""


@dataclass(frozen=True)
class Search:
    """Everything that one search needs.

    Attributes:
        problem: space and budgets.
        costs: what is reported of every network.
        strategy: name of the strategy.
        options: what it is told.
        scoring: who scores candidates and finalists.
        max_evaluations: limit on candidates, or None.
        workers: processes, 0 for this one; on Ray tasks at a time, 0 for one per processor.
        ray: address of the Ray cluster to evaluate on, or None.
    """

    problem: Problem
    costs: Sequence[Cost]
    strategy: str
    options: Options
    scoring: Scoring
    max_evaluations: int | None = None
    workers: int = 0
    ray: str | None = None

    def check(self) -> None:
        """Raise what the strategy refuses, before anything is scored or written.

        Raises:
            UserError: such as a missing limit.
        """
        self._asking(Ledger(self.problem, self.max_evaluations)).close()

    def _asking(self, ledger: Ledger) -> Asking:
        return find_strategy(self.strategy)(self.problem, ledger, self.options)

    def run(self, run: Run, store_path: Path, reporter: Reporter) -> dict[str, Any]:
        """Search, write search.json, and return its content.

        Every score is committed before it is used, so that a killed search, started again, asks
        for nothing twice and ends the same.

        Raises:
            InfeasibleError: no network meets the budgets; raised before any evaluation.
            CheckFailed: no network could be scored.
        """
        self.problem.start()
        progress, scoring = _Progress(self.problem, reporter), self.scoring
        ledger = Ledger(self.problem, self.max_evaluations, progress.accept)
        with run.lock(), connected(self.ray):
            if scoring.teachers:
                # Torch comes with it: searches without teachers do not wait for that.
                from hwnas.evaluate.distill.teacher import teach

                teach(scoring.teachers, reporter, self.workers, ray=self.ray is not None)
            ahead = self._ask(ledger, store_path, reporter, progress)
            if ledger.best is None:
                raise CheckFailed(
                    "the start network could not be scored: "
                    f"{progress.failures or 'no evaluation was allowed'}."
                )
            self._combine(ledger, progress)
            again = partial(self._again, store_path=store_path, reporter=reporter)
            best = _best(ledger.scored, SCREENED)
            together = again(scoring.screen, best, "putting the best networks together")
            screened = {arch: one.score for arch, one in unfailed(together).items()}
            finalists = _best(screened or ledger.scored, FINALISTS)
            start = self.problem.space.canonical(self.problem.start())
            judged = again(
                scoring.judge,
                [*finalists, start],
                "scoring the finalists again, with more training",
            )
            made_with = scoring.made_with
            found = SearchResult(
                self.problem,
                self.costs,
                scoring,
                ledger,
                progress.seen,
                finalists,
                judged,
                together,
                progress.parts,
            )
            result = {
                "run": str(run.path),
                "strategy": self.strategy,
                **found.to_json(),
                "made_with": made_with.to_json(here=self.ray is None) if made_with else {},
                # Of all content this alone depends on the number of workers.
                "ahead": ahead._asdict(),
            }
            run.write("search.json", result)
        return result

    def _ask(
        self, ledger: Ledger, store_path: Path, reporter: Reporter, progress: _Progress
    ) -> Ahead:
        asking = self._asking(ledger)
        composed, evaluator = None, self.scoring.evaluator
        if isinstance(evaluator, Composed):
            composed, evaluator = evaluator, evaluator.part
        total = self.max_evaluations or 4 * len(self.problem.space.elements(self.problem.start()))
        with (
            self._scorer(evaluator, store_path) as whole,
            reporter.task("scoring networks", total) as advance,
        ):
            scorer = ComposedScorer(composed, whole, progress.parts) if composed else whole

            def evaluate(ask: Ask) -> dict[Job, Score | None]:
                found = scorer.score(ask.needed, advance, ask.ahead)
                progress.seen.update(found)
                return {job: _usable_score(found[job]) for job in ask.needed}

            drive(asking, ledger, evaluate)
            return whole.ahead

    def _combine(self, ledger: Ledger, progress: _Progress) -> None:
        """Let the ledger know the best networks of parts that were scored in others."""
        composed = self.scoring.evaluator
        if not isinstance(composed, Composed):
            return
        found = combine(self.problem, composed, ledger.scored, progress.parts, SCREENED)
        if not found:
            return
        progress.seen.update({(arch, 0): evaluation for arch, evaluation in found.items()})
        best, *others = [{(arch, 0): _usable_score(found[arch])} for arch in found]
        for scores in others:
            ledger.learn(scores)
        ledger.follow(COMBINED)
        ledger.learn(best)

    def _scorer(self, evaluator: Evaluator, path: Path) -> AbstractContextManager[Scorer]:
        # Zero-cost answers sooner than a worker could be asked.
        here = isinstance(evaluator, ZeroCostEvaluator)
        workers, ray = (0, False) if here else (self.workers, self.ray is not None)
        return open_scorer(self.problem.space, evaluator, workers, path, ray=ray)

    def _again(
        self,
        evaluator: Evaluator | None,
        networks: Sequence[Arch],
        task: str,
        *,
        store_path: Path,
        reporter: Reporter,
    ) -> dict[Arch, Evaluation]:
        """Score networks with another evaluator, failures included; {} where there is none."""
        if evaluator is None:
            return {}
        jobs = [(arch, 0) for arch in dict.fromkeys(networks)]
        with (
            self._scorer(evaluator, store_path) as scorer,
            reporter.task(task, len(jobs)) as step,
        ):
            found = scorer.score(jobs, step)
        # In the order of the jobs: the one in which workers were done is another one each time.
        return {job[0]: found[job] for job in jobs}


def _best(scores: Mapping[Arch, float], count: int) -> list[Arch]:
    return sorted(scores, key=lambda arch: -scores[arch])[:count]


@dataclass(slots=True)
class _Progress:
    """Tells every accepted block, and keeps what was seen."""

    problem: Problem
    reporter: Reporter
    seen: dict[Job, Evaluation] = field(default_factory=dict)
    parts: dict[Job, Evaluation] = field(default_factory=dict)
    _steps: dict[str, int] = field(default_factory=dict)

    def accept(self, step: Step) -> None:
        space = self.problem.space
        number = self._steps[step.rule] = self._steps.get(step.rule, -1) + 1
        evaluation = self.seen.get((space.canonical(step.arch), 0))
        accuracy = evaluation.accuracy if evaluation else None
        told = "" if accuracy is None else f"  accuracy {accuracy:6.1%}"
        move = "parts of others" if step.rule == COMBINED else MOVES[number > 0]
        added = f"+ {space.describe(step.element)}" if step.element else move
        uses = ", ".join(
            f"{budget.cost.name} {budget.use(step.arch):.0%}" for budget in self.problem.budgets
        )
        self.reporter.info(
            f"{step.rule:>4} {number:>2}  {added:<20} score {step.score:.4f}{told}"
            f"  of budget: {uses}"
        )

    @property
    def failures(self) -> list[str]:
        return [e.failed for e in self.seen.values() if e.failed is not None]


def _usable_score(evaluation: Evaluation) -> Score | None:
    return None if evaluation.failed is not None else Score(evaluation.score, evaluation.stderr)
