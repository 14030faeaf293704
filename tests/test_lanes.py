"""Work side by side in one process: the same results, and failures stay with their own network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
import torch

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.evaluation import Evaluation, SideBySide
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.evaluate.workers.pool import open_pool
from hwnas.spaces import find_space
from hwnas.train.lanes import finish, side_by_side
from hwnas.train.recipe import QUICK

if TYPE_CHECKING:
    from collections.abc import Generator

    from hwnas.spaces import Arch

CPU = torch.device("cpu")
SPACE = find_space("rcnet", input_size="8", classes=10, width=0.25)
START = SPACE.start()
# Three looks at the device in a training, so that lanes do take turns within one.
TINY = TrainEvaluator(Setting(SPACE, "cluttered-digits"), replace(QUICK, images=1280, batch_size=8))


@dataclass
class Diary:
    """Work that writes down every one of its turns."""

    turns: list[str] = field(default_factory=list)

    def work(self, name: str) -> Generator[None, None, str]:
        """Take as many turns as the name has letters; a name with an x fails in the end."""
        for letter in name:
            self.turns.append(letter)
            if letter == "x":
                raise EvaluationFailed(name)
            yield
        return name.upper()


def test_lanes_take_turns_and_a_free_one_takes_the_next_job() -> None:
    diary = Diary()
    found = list(side_by_side(["ab", "ABCD", "c"], diary.work, 2, CPU))
    assert found == [("ab", "AB"), ("c", "C"), ("ABCD", "ABCD")]
    assert "".join(diary.turns) == "aAbBCcD"


def test_what_work_raises_is_its_own_outcome() -> None:
    found = dict(side_by_side(["ax", "bc", "xd"], Diary().work, 2, CPU))
    assert [str(found["ax"]), found["bc"], str(found["xd"])] == ["ax", "BC", "xd"]


def test_one_lane_and_no_work_are_no_exceptions() -> None:
    diary = Diary()
    assert list(side_by_side(["ab", "cd"], diary.work, 1, CPU)) == [("ab", "AB"), ("cd", "CD")]
    assert "".join(diary.turns) == "abcd"
    assert list(side_by_side([], diary.work, 3, CPU)) == []
    assert finish(diary.work("ab")) == "AB"


def test_networks_side_by_side_score_as_one_at_a_time() -> None:
    jobs = [(START, 0), (START, 1), *((SPACE.add(START, (1, block)), 0) for block in (1, 2, 3))]
    found = {}
    for lanes in (1, 2, 8):
        evaluator = replace(TINY, lanes=lanes)
        assert evaluator.identity() == TINY.identity()
        with open_pool(evaluator) as pool:
            found[lanes] = dict(pool.results(jobs))
    assert found[1] == found[2] == found[8]
    assert len({evaluation.score for evaluation in found[1].values()}) == len(jobs)


@dataclass(frozen=True)
class Moody(FakeEvaluator):
    """Does what the first type of stage 3 says, in the middle of its work."""

    lanes: int = 3
    torch_device: torch.device = CPU
    tried: list[Arch] = field(default_factory=list)

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        return finish(self.work(arch, replicate))

    def work(self, arch: Arch, replicate: int = 0) -> Generator[None, None, Evaluation]:
        self.tried.append(arch)
        yield
        if arch[18] == 1:
            raise EvaluationFailed("training diverged")
        if arch[18] == 2 or (arch[18] == 3 and self.tried.count(arch) == 1):
            raise MemoryError
        if arch[18] == 4:
            raise ZeroDivisionError
        yield
        return super().evaluate(arch, replicate)


def _mood(block: int) -> Arch:
    return SPACE.add(START, (18, block)) if block else START


def test_a_failure_stays_with_its_network_and_full_memory_is_tried_again_alone() -> None:
    evaluator = Moody()
    assert isinstance(evaluator, SideBySide)
    with open_pool(evaluator) as pool:
        found = {arch: e for (arch, _), e in pool.results([(_mood(n), 0) for n in range(4)])}
    assert found[_mood(1)].failed == "training diverged"
    assert "memory" in (found[_mood(2)].failed or "")
    for fine in (_mood(0), _mood(3)):
        assert found[fine] == FakeEvaluator().evaluate(fine)
    assert [evaluator.tried.count(_mood(n)) for n in range(4)] == [1, 1, 2, 2]


def test_a_bug_in_a_lane_is_no_verdict_on_its_network() -> None:
    with open_pool(Moody()) as pool, pytest.raises(ZeroDivisionError):
        list(pool.results([(_mood(0), 0), (_mood(4), 0)]))
