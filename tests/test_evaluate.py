"""Candidate scores: the same everywhere, and a dying worker is not the end."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.evaluate.workers import processes
from hwnas.evaluate.workers.pool import open_pool
from hwnas.spaces import SPACES, find_space
from hwnas.train.metrics import Metrics
from hwnas.train.recipe import QUICK
from hwnas.workflows.search.evaluators import proxy_space

if TYPE_CHECKING:
    from hwnas.spaces import Arch

SPACE = find_space("rcnet", input_size="8", classes=10, width=0.25)
START = SPACE.start()
SETTING = Setting(SPACE, "cluttered-digits")
TINY = TrainEvaluator(SETTING, replace(QUICK, images=128, validation=64))


@dataclass(frozen=True)
class Moody(FakeEvaluator):
    """Does to its process what the first type of stage 3 says."""

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        if arch[18] == 1:
            os._exit(7)
        if arch[18] == 2:
            raise EvaluationFailed("training diverged")
        if arch[18] == 3:
            raise MemoryError
        if arch[18] == 4:
            raise ZeroDivisionError
        return super().evaluate(arch, replicate)


@dataclass(frozen=True)
class DiesOnce(FakeEvaluator):
    """Ends its process at the first evaluation of all."""

    tombstone: Path = Path("never")

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        if not self.tombstone.exists():
            self.tombstone.touch()
            os._exit(7)
        return super().evaluate(arch, replicate)


@dataclass(frozen=True)
class Sleepy(FakeEvaluator):
    """Prepares for a while in every process, and never wakes up from some networks.

    Attributes:
        prepares_s: how long the first evaluation of a process takes.
        hangs: these do.
    """

    prepares_s: float = 0.0
    hangs: tuple[Arch, ...] = ()
    longest_s: float | None = 0.5

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        _prepare(self.prepares_s)
        if arch in self.hangs:
            time.sleep(3600)
        return super().evaluate(arch, replicate)


@cache
def _prepare(seconds: float) -> None:
    time.sleep(seconds)


def _mood(block: int) -> Arch:
    return SPACE.add(START, (18, block)) if block else START


def test_scores_are_the_same_in_every_process() -> None:
    jobs = [(START, 0), (START, 1), (SPACE.add(START, (1, 2)), 0)]
    results = []
    for workers in (1, 2):
        with open_pool(TINY, workers) as pool:
            results.append(dict(pool.results(jobs)))
    assert results[0] == results[1]
    assert len({e.score for e in results[0].values()}) == 3
    evaluation = results[0][START, 0]
    assert 0 < evaluation.score < 1
    assert evaluation.images == 128
    assert evaluation.stderr > 0
    assert not multiprocessing.active_children()


def test_a_dying_worker_fails_its_own_network_only() -> None:
    jobs = [(_mood(block), 0) for block in (0, 1, 2, 3)]
    with open_pool(Moody(), 2) as pool:
        found = {arch: e for (arch, _), e in pool.results(jobs)}
    assert found[_mood(0)].failed is None
    assert "exit code 7" in (found[_mood(1)].failed or "")
    assert found[_mood(2)].failed == "training diverged"
    assert "memory" in (found[_mood(3)].failed or "")
    assert not multiprocessing.active_children()


def test_a_bug_is_no_verdict_on_a_network() -> None:
    with open_pool(Moody(), 1) as pool, pytest.raises(RuntimeError, match="ZeroDivision"):
        list(pool.results([(_mood(4), 0)]))


def test_a_worker_that_dies_once_is_given_another_try(tmp_path: Path) -> None:
    jobs = [(START, 0), (START, 1)]
    with open_pool(DiesOnce(tombstone=tmp_path / "died"), 2) as pool:
        found = [evaluation for _, evaluation in pool.results(jobs)]
    assert found == [FakeEvaluator().evaluate(START)] * 2
    assert (tmp_path / "died").exists()
    assert not multiprocessing.active_children()


def test_a_caller_that_stops_early_leaves_no_processes() -> None:
    with open_pool(FakeEvaluator(delay_s=0.1), 2) as pool:
        results = pool.results([(START, replicate) for replicate in range(8)])
        next(results)
        results.close()
    assert not multiprocessing.active_children()


def test_a_network_that_takes_too_long_is_recorded_as_failed() -> None:
    hasty = replace(TINY, time_limit_s=1e-9)
    with open_pool(hasty) as pool:
        ((_, evaluation),) = pool.results([(START, 0)])
    assert "timed out" in (evaluation.failed or "")
    patient = replace(TINY, time_limit_s=600.0)
    assert patient.evaluate(START) == TINY.evaluate(START)
    assert patient.identity() != TINY.identity() != hasty.identity()


def test_a_worker_that_hangs_is_killed_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 2.0)
    hanging = _mood(1)
    jobs = [(_mood(block), 0) for block in (0, 2, 3, 1, 4)]
    with open_pool(Sleepy(hangs=(hanging,)), 2) as pool:
        list(pool.results(jobs[:2]))
        began = time.monotonic()
        found = {arch: evaluation for (arch, _), evaluation in pool.results(jobs)}
        assert 3 < time.monotonic() - began < 60
        assert "timed out: no answer within 3 s" in (found.pop(hanging).failed or "")
        assert all(evaluation.failed is None for evaluation in found.values())
        assert len(found) == 4
        ((_, again),) = pool.results(jobs[:1])
        assert again.failed is None
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_who_prepares_for_all_is_not_killed_but_one_that_hangs_there_is(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_S", -1.0)
    monkeypatch.setattr(processes, "PREPARATION_S", 20.0)
    slow = Sleepy(prepares_s=2.0, hangs=(_mood(1),), longest_s=1.0)
    with open_pool(slow, workers) as pool:
        ((_, found),) = pool.results([(START, 0)])
        assert found.failed is None
        # A new replicate may have to be prepared for, too.
        ((_, found),) = pool.results([(START, 1)])
        assert found.failed is None
    monkeypatch.setattr(processes, "PREPARATION_S", 3.0)
    with open_pool(slow, workers) as pool:
        ((_, found),) = pool.results([(_mood(1), 0)])
    assert "timed out" in (found.failed or "")


def test_without_a_time_limit_nobody_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 0.0)
    monkeypatch.setattr(processes, "PREPARATION_S", 0.0)
    with open_pool(FakeEvaluator(delay_s=0.5), 1) as pool:
        ((_, found),) = pool.results([(START, 0)])
    assert found.failed is None
    assert TINY.longest_s is None
    assert replace(TINY, time_limit_s=5.0).longest_s == 5.0


def _tiny_parquet(path: Path, level: int) -> Path:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (level, 0, 0)).save(stream, "PNG")
    images = [{"bytes": stream.getvalue(), "path": None}] * 20
    parquet.write_table(pa.table({"image": images, "label": [0, 1] * 10}), path)
    return path


def test_everything_that_decides_a_score_is_in_its_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    changes: list[dict[str, Any]] = [
        {"seed": 1},
        {"split": "final"},
        {"recipe": replace(TINY.recipe, images=256)},
        {"setting": replace(SETTING, space=replace(SPACE, resolution=16))},
        *(
            {"setting": Setting(SPACE, f"parquet:{_tiny_parquet(tmp_path / name, level)}")}
            for level, name in enumerate(("a.parquet", "b.parquet"))
        ),
    ]
    identities = [str(replace(TINY, **change).identity()) for change in changes]
    assert len({str(TINY.identity()), *identities}) == len(changes) + 1


def test_evaluations_survive_json() -> None:
    for evaluation in (
        Evaluation.of(Metrics(0.5, 0.1, 1.2, 0.1, 100, None), images=10, seconds=2.0),
        Evaluation.failure("died"),
    ):
        assert Evaluation(**json.loads(json.dumps(asdict(evaluation)))) == evaluation


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 99), st.data())
def test_the_fake_is_monotone_and_submodular(seed: int, data: st.DataObject) -> None:
    oracle = FakeEvaluator(seed)
    small = large = START
    for _ in range(data.draw(st.integers(0, 6))):
        large = SPACE.add(large, data.draw(st.sampled_from(SPACE.elements(large))))
    element = data.draw(st.sampled_from(SPACE.elements(large)))

    def gain(arch: Arch) -> float:
        return oracle.evaluate(SPACE.add(arch, element)).score - oracle.evaluate(arch).score

    assert oracle.evaluate(large).score >= oracle.evaluate(small).score
    assert gain(small) >= gain(large) - 1e-12
    assert gain(large) >= 0


def test_the_proxy_keeps_what_is_smaller() -> None:
    proxy = proxy_space(SPACES["rcnet-imagenet"], 10, 0.25, 16)
    assert (proxy.resolution, proxy.classes, proxy.width) == (16, 10, 0.25)
    assert find_space(proxy.name) == proxy
    assert proxy_space(SPACE, 10, 0.25, 16).resolution == 8
