"""Failures that may be the machine's are tried once more by the next search; divergence is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from searching import MORTAL, SPACE, comparable, run

from hwnas.errors import EvaluationFailed, TimedOut
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.workflows.search.scores import open_scorer

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.evaluate.evaluation import Evaluation
    from hwnas.spaces import Arch

START = SPACE.canonical(SPACE.start())


@dataclass(frozen=True)
class Failing(FakeEvaluator):
    """Fails in one way, so many times."""

    error: Exception = field(default_factory=MemoryError)
    times: int = 10**6
    calls: Counter[Arch] = field(default_factory=Counter, hash=False, compare=False)

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        self.calls[arch] += 1
        if self.calls[arch] <= self.times:
            raise self.error
        return super().evaluate(arch, replicate)


def _ask(evaluator: Failing, store: Path) -> Evaluation:
    """Ask twice for one network, in a search of its own."""
    with open_scorer(SPACE, evaluator, 0, store) as scorer:
        answers = [scorer.score([(START, 0)], lambda *_: None)[START, 0] for _ in range(2)]
    assert answers[0] == answers[1]
    return answers[0]


@pytest.mark.parametrize(
    ("error", "each"),
    [(MemoryError("full"), 2), (TimedOut("timed out"), 1)],
    ids=["memory", "time"],
)
def test_a_failure_that_may_pass_is_tried_in_two_searches(
    error: Exception, each: int, tmp_path: Path
) -> None:
    """A full memory is tried twice in each, the second time alone."""
    store, evaluator = tmp_path / "evaluations.sqlite", Failing(error=error)
    for calls in (each, 2 * each, 2 * each, 2 * each):
        assert _ask(evaluator, store).failed == str(error)
        assert evaluator.calls[START] == calls


def test_what_passes_the_second_time_is_kept(tmp_path: Path) -> None:
    store, evaluator = tmp_path / "evaluations.sqlite", Failing(times=2)
    assert _ask(evaluator, store).failed
    for _ in range(2):
        assert _ask(evaluator, store) == FakeEvaluator().evaluate(START)
        assert evaluator.calls[START] == 3


def test_divergence_is_recorded_for_good(tmp_path: Path) -> None:
    store = tmp_path / "evaluations.sqlite"
    evaluator = Failing(error=EvaluationFailed("training diverged"))
    for _ in range(3):
        assert _ask(evaluator, store).failed
        assert evaluator.calls[START] == 1


def test_the_same_search_again_ends_as_if_its_worker_had_not_been_killed(tmp_path: Path) -> None:
    undisturbed = run(tmp_path / "undisturbed")
    first = run(tmp_path / "killed", 1, deaths=2)
    assert list(first["failed"]) == [SPACE.format(MORTAL)]
    again = run(tmp_path / "killed", 1, deaths=2)
    assert comparable(again) == comparable(undisturbed)
    lines = Counter((tmp_path / "killed" / "log").read_text().splitlines())
    assert set(lines.values()) == {1}


def test_the_same_search_again_ends_the_same_if_its_worker_is_killed_again(tmp_path: Path) -> None:
    found = [run(tmp_path / "killed", 1, deaths=4) for _ in range(3)]
    assert list(found[0]["failed"]) == [SPACE.format(MORTAL)]
    assert comparable(found[0]) == comparable(found[1]) == comparable(found[2])
