"""Who wins a search: a finalist, by the judge; the start network only if it is one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hwnas import cost
from hwnas.cli import search as shown
from hwnas.cost import Budget, Problem
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.search.ledger import Ledger, Score
from hwnas.spaces import find_space
from hwnas.workflows.search.evaluators import Scoring
from hwnas.workflows.search.result import JUDGED, SearchResult

if TYPE_CHECKING:
    from hwnas.spaces import Arch

SPACE = find_space("rcnet-digits")
START = SPACE.canonical(SPACE.start())
LARGER = SPACE.canonical(SPACE.add(START, (7, 1)))
LARGEST = SPACE.canonical(SPACE.add(LARGER, (13, 2)))
FAILED = Evaluation.failure("diverged")


def _result(finalists: list[Arch], judged: dict[Arch, float | Evaluation]) -> SearchResult:
    params = cost.params(SPACE)
    problem = Problem(SPACE, (Budget(params, 1e6),))
    ledger, scores = Ledger(problem), {START: 1.0, LARGER: 2.0, LARGEST: 3.0}
    ledger.record({(arch, 0): Score(score) for arch, score in scores.items()})
    return SearchResult(
        problem,
        (params,),
        Scoring(FakeEvaluator()),
        ledger,
        {(arch, 0): Evaluation.known(score) for arch, score in scores.items()},
        finalists=finalists,
        judged={
            arch: one if isinstance(one, Evaluation) else Evaluation(one, 0.5, 1.0, 0.01, 10, 1.0)
            for arch, one in judged.items()
        },
    )


@pytest.mark.parametrize(
    ("finalists", "judged", "winner", "source"),
    [
        ([LARGEST, LARGER], {LARGEST: 0.2, LARGER: 0.3, START: 0.1}, LARGER, JUDGED),
        ([LARGEST, LARGER], {LARGEST: 0.2, LARGER: 0.1, START: 0.3}, LARGEST, JUDGED),
        ([LARGEST, START], {LARGEST: 0.2, START: 0.3}, START, JUDGED),
        ([LARGEST, LARGER], {LARGEST: FAILED, LARGER: 0.1, START: 0.3}, LARGER, JUDGED),
        ([LARGEST], {LARGEST: FAILED, START: 0.3}, LARGEST, "candidate score"),
        ([LARGEST, LARGER], {}, LARGEST, "candidate score"),
    ],
)
def test_the_finalist_that_the_judge_puts_first_wins(
    finalists: list[Arch], judged: dict[Arch, Any], winner: Arch, source: str
) -> None:
    found = _result(finalists, judged).to_json()
    assert found["arch"] == SPACE.format(winner)
    assert found["score_source"] == source


class _Request:
    """What is asked of a request when its result is shown."""

    def describe(self, arch: str) -> str:
        return arch

    def after_search(self, run: object) -> str:
        return "hwnas train"


@pytest.mark.parametrize(("start", "told"), [(0.3, True), (0.1, False)])
def test_a_start_network_that_did_better_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, start: float, told: bool
) -> None:
    found = _result([LARGEST], {LARGEST: 0.2, START: start}).to_json()
    found |= {"run": "runs/x", "made_with": {"dataset": "cifar10"}}
    monkeypatch.setattr(shown, "_request", lambda _: _Request())
    shown.show_search(found)
    out = " ".join(capsys.readouterr().out.split())
    assert ("the start network did better" in out) == told
    command = f"--arch '{SPACE.format(START)}' --space rcnet-digits --dataset cifar10"
    assert (command in out) == told
