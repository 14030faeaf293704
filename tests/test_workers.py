"""More workers find the same sooner; what they do ahead of need is neither repeated nor lost."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Shell
from searching import MORTAL, SPACE, comparable, run

from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.workers.pool import open_pool
from hwnas.search.ledger import Ask, Ledger, Score
from hwnas.search.strategy import drive

if TYPE_CHECKING:
    from hwnas.evaluate.evaluation import Evaluation
    from hwnas.spaces import Arch

START = SPACE.canonical(SPACE.start())
NETWORKS = [SPACE.canonical(SPACE.add(START, element)) for element in SPACE.elements(START)[:6]]
JOBS = [(network, 0) for network in NETWORKS]


def _logged(folder: Path) -> Counter[str]:
    return Counter((folder / "log").read_text().splitlines())


def test_one_two_and_four_workers_find_the_same(tmp_path: Path) -> None:
    """Winner, paths, scores, counts: everything but what was done ahead."""
    found = {n: run(tmp_path / str(n), n, spread_s=0.02) for n in (0, 1, 2, 4)}
    assert found[0]["evaluations"] > 60
    assert found[0]["audit"]["raced"] > 0
    for workers, result in found.items():
        assert comparable(result) == comparable(found[0])
        evaluated, used = result["ahead"]["evaluated"], result["ahead"]["used"]
        assert (0 < used < evaluated) if workers > 1 else evaluated == used == 0
        logged = _logged(tmp_path / str(workers))
        assert set(logged.values()) == {1}
        # What is still in work ahead of need when the search ends is neither kept nor counted.
        assert 0 <= len(logged) - result["evaluations"] - (evaluated - used) < max(workers, 1)
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_twice_on_a_network_changes_no_other_score(tmp_path: Path) -> None:
    undisturbed = run(tmp_path / "undisturbed")
    once = run(tmp_path / "once", 2, deaths=1)
    assert comparable(once) == comparable(undisturbed)
    twice = {n: run(tmp_path / f"twice{n}", n, deaths=2) for n in (1, 2)}
    assert comparable(twice[1]) == comparable(twice[2])
    assert list(twice[1]["failed"]) == [SPACE.format(MORTAL)]
    assert "killed" in twice[1]["failed"][SPACE.format(MORTAL)]


def test_the_command_finds_the_same_with_two_workers(tmp_path: Path) -> None:
    shell = Shell(tmp_path, fresh=True)
    budgets = ("--space", "rcnet-cifar10", "--budget-params", "0.8M", "--evaluator", "fake")
    found = [
        shell("search", *budgets, *more, "--run", f"run{len(more)}", "--json").must().json
        for more in ((), ("--workers", "2"))
    ]
    assert comparable(found[0]) == comparable(found[1])


@dataclass(frozen=True)
class Paced(FakeEvaluator):
    """Leaves a line per evaluation when it begins.

    Attributes:
        folder: holds that file.
        waits: networks that end only when so many evaluations have begun.
        dies: ends its process.
        breaks: meets a bug.
    """

    folder: Path = Path()
    waits: tuple[tuple[Arch, int], ...] = ()
    dies: Arch = ()
    breaks: Arch = ()

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        with (self.folder / "begun").open("a") as stream:
            stream.write(f"{NETWORKS.index(arch)}\n")
        if arch == self.dies:
            os._exit(7)
        if arch == self.breaks:
            raise ZeroDivisionError
        deadline = time.monotonic() + 60
        while len(self.begun) < dict(self.waits).get(arch, 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        return super().evaluate(arch, replicate)

    @property
    def begun(self) -> list[int]:
        return [int(line) for line in (self.folder / "begun").read_text().split()]


def test_idle_workers_begin_what_comes_next_in_its_order(tmp_path: Path) -> None:
    evaluator = Paced(folder=tmp_path, waits=((NETWORKS[0], 5),))
    with open_pool(evaluator, 2) as pool:
        assert pool.parallel
        done = {job for job, _ in pool.results(JOBS[:3], JOBS[3:])}
        assert pool.begun_ahead >= {*JOBS[3:5]}
    assert done >= {*JOBS[:4]}
    assert [number for number in evaluator.begun if number][:4] == [1, 2, 3, 4]


def test_what_is_in_work_ahead_of_need_goes_on_and_is_not_begun_again(tmp_path: Path) -> None:
    waits = ((NETWORKS[0], 3), (NETWORKS[1], 4), (NETWORKS[2], 4))
    evaluator = Paced(folder=tmp_path, waits=waits)
    with open_pool(evaluator, 3) as pool:
        done = [job for job, _ in pool.results(JOBS[:1], JOBS[1:3])]
        assert done == JOBS[:1]
        done += [job for job, _ in pool.results([JOBS[1], JOBS[3]], [JOBS[2]])]
        done += [job for job, _ in pool.results([job for job in JOBS[2:5] if job not in done])]
    assert sorted(done) == sorted(JOBS[:5])
    assert sorted(evaluator.begun) == [0, 1, 2, 3, 4]
    assert pool.begun_ahead == set(JOBS[1:3])


def test_an_end_ahead_of_need_is_told_only_when_the_network_is_needed(tmp_path: Path) -> None:
    """Neither a death nor a bug of what nobody asked for disturbs the search."""
    evaluator = Paced(
        folder=tmp_path, waits=((NETWORKS[0], 5),), dies=NETWORKS[1], breaks=NETWORKS[2]
    )
    with open_pool(evaluator, 2) as pool:
        done = {job for job, _ in pool.results(JOBS[:1], JOBS[1:5])}
        assert {JOBS[0], JOBS[3]} <= done <= {JOBS[0], JOBS[3], JOBS[4]}
        list(pool.results(JOBS[5:], JOBS[1:3]))
        assert evaluator.begun.count(1) == evaluator.begun.count(2) == 1
        found = dict(pool.results(JOBS[1:2]))
        assert "exit code 7" in (found[JOBS[1]].failed or "")
        assert evaluator.begun.count(1) == 3
        with pytest.raises(RuntimeError, match="ZeroDivision"):
            list(pool.results(JOBS[2:3]))


def test_what_the_limit_rules_out_is_not_begun_ahead() -> None:
    """Three evaluations at most: two are needed, one of the two wishes can still be needed."""
    wishes = []

    def evaluate(ask: Ask) -> dict[tuple[Arch, int], Score | None]:
        wishes.append(list(ask.ahead))
        return dict.fromkeys(ask.needed, Score(0.5))

    ledger = Ledger(_Anything(), 3)  # type: ignore[arg-type]
    drive(iter([Ask(tuple(JOBS[:2]), tuple(JOBS[2:4]))]), ledger, evaluate)  # type: ignore[arg-type]
    assert wishes == [JOBS[2:3]]


class _Anything:
    """A problem where everything fits."""

    space = SPACE

    def weigh(self, _: Arch) -> tuple[tuple[float, ...], bool]:
        return (0.0,), True
