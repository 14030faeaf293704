"""Scores by imitation: units cover a network, better ones score higher, searches repeat."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from conftest import Shell
from hypothesis import given, settings
from hypothesis import strategies as st
from teachers import SHORT, SPACE, trained_teacher

from hwnas.errors import UserError
from hwnas.evaluate.distill.evaluator import PER_BLOCK, Committee, DistillEvaluator, mean
from hwnas.evaluate.distill.teacher import TEACHER, Teacher
from hwnas.evaluate.distill.units import (
    FRAME,
    UNITS,
    differing_units,
    ordered,
    parts_of,
    swapped,
)
from hwnas.evaluate.evaluation import Composed, Evaluation
from hwnas.evaluate.workers.pool import open_pool
from hwnas.models.network import Network, initialise, run_layers
from hwnas.progress import Silent
from hwnas.train.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.spaces import Arch

archs = st.integers(0, 2**32 - 1).map(lambda seed: SPACE.sample(np.random.default_rng(seed)))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return trained_teacher(tmp_path_factory.mktemp("teachers"), images=256)


@settings(max_examples=20, deadline=None)
@given(archs)
def test_parts_one_after_the_other_are_the_network(arch: Arch) -> None:
    network = Network(SPACE.graph(arch)).eval()
    initialise(network, 0)
    value = images = torch.randn(2, 3, 8, 8)
    parts = parts_of(network.graph)
    assert [node for part in parts for node in part] == list(network.graph)
    with torch.inference_mode():
        for part in parts:
            value = run_layers(part, network.layers, value)
        assert torch.equal(value, network(images))


@settings(deadline=None)
@given(archs, archs)
def test_units_can_be_swapped_one_by_one(host: Arch, guest: Arch) -> None:
    for unit in range(len(UNITS)):
        both = swapped(host, guest, unit)
        assert SPACE.contains(both)
        assert set(differing_units(host, both)) <= {unit}
        assert unit not in differing_units(guest, both)
        host_parts, guest_parts = (parts_of(SPACE.graph(arch)) for arch in (host, guest))
        mixed = parts_of(SPACE.graph(both))
        for index, part in enumerate(mixed):
            own = guest_parts if index == unit + 1 else host_parts
            assert part[-1].shape == own[index][-1].shape


@given(archs)
def test_the_order_behind_the_first_block_of_a_stage_does_not_matter(arch: Arch) -> None:
    same = ordered(arch)
    assert ordered(same) == same
    assert SPACE.canonical(same) == same
    for first in range(0, 36, 6):
        assert same[first] == arch[first]
        assert sorted(same[first : first + 6]) == sorted(arch[first : first + 6])


@given(archs)
def test_no_unit_of_a_network_is_the_frames_own(arch: Arch) -> None:
    guest = ordered(SPACE.canonical(arch))
    assert list(differing_units(FRAME, guest)) == list(range(len(UNITS)))
    assert SPACE.canonical(FRAME) == FRAME


def test_the_teachers_own_units_are_trained_like_any_other(teacher: Teacher) -> None:
    committee = Committee((teacher,), SHORT)
    found = [committee.evaluate(part) for part in DistillEvaluator(committee).parts(TEACHER)]
    assert all(0 < evaluation.score < 1 and evaluation.images == 128 for evaluation in found)
    with pytest.raises(ValueError, match="not one unit"):
        committee.evaluate(SPACE.start())


def test_training_brings_a_unit_nearer_to_the_teacher(teacher: Teacher) -> None:
    guest = swapped(FRAME, SPACE.start(), 4)
    hardly = Committee((teacher,), replace(SHORT, images=32))
    longer = Committee((teacher,), replace(SHORT, images=4096))
    assert longer.evaluate(guest).score > hardly.evaluate(guest).score


def test_scores_are_the_same_in_every_process(teacher: Teacher) -> None:
    evaluator = Committee((teacher,), SHORT)
    jobs = [(swapped(FRAME, SPACE.start(), unit), 0) for unit in range(len(UNITS))]
    here = {job: evaluator.evaluate(*job) for job in jobs}
    with open_pool(evaluator, 2) as pool:
        assert dict(pool.results(jobs)) == here
    other = evaluator.evaluate(jobs[0][0], 1)
    assert other.score != here[jobs[0]].score
    assert all(0 < e.score < 1 and e.stderr > 0 and e.images == 128 for e in here.values())


def test_a_unit_that_takes_too_long_fails_and_a_missing_teacher_is_told(teacher: Teacher) -> None:
    evaluator = Committee((teacher,), SHORT, time_limit_s=1e-9)
    guest = swapped(FRAME, SPACE.start(), 0)
    with open_pool(evaluator) as pool:
        ((_, evaluation),) = pool.results([(guest, 0)])
    assert "timed out" in (evaluation.failed or "")
    untrained = replace(teacher, seed=9)
    with pytest.raises(UserError, match="missing"):
        Committee((untrained,), SHORT).evaluate(guest)


def test_everything_that_decides_a_score_is_in_its_identity(teacher: Teacher) -> None:
    committee, another = Committee((teacher,), SHORT), replace(teacher, seed=1)
    others = [
        replace(committee, teachers=(another,)),
        replace(committee, teachers=(teacher, another)),
        replace(committee, recipe=replace(SHORT, images=64)),
        replace(committee, time_limit_s=5.0),
    ]
    identities = {str(one.identity()) for one in [committee, *others]}
    assert len(identities) == len(others) + 1
    moved = replace(committee, teachers=(replace(teacher, folder=teacher.folder / "else"),))
    assert moved.identity() == committee.identity()
    units = [
        committee.training(teacher, swapped(FRAME, SPACE.start(), 0), 0),
        committee.training(teacher, swapped(FRAME, SPACE.start(), 1), 0),
        committee.training(teacher, swapped(FRAME, SPACE.start(), 0), 1),
        others[2].training(teacher, swapped(FRAME, SPACE.start(), 0), 0),
        committee.training(another, swapped(FRAME, SPACE.start(), 0), 0),
    ]
    assert len({unit.file for unit in units}) == len(units)


def test_teachers_of_a_committee_count_alike(teacher: Teacher) -> None:
    losses, errors = [0.1, 0.4], [0.01, 0.02]
    found = [
        Evaluation(math.exp(-loss), 0.5, 1.0, math.exp(-loss) * loss * error, 10, 1.0)
        for loss, error in zip(losses, errors, strict=True)
    ]
    together = mean(found)
    assert -math.log(together.score) == pytest.approx(0.2)
    assert together.stderr == pytest.approx(together.score * 0.2 * math.hypot(*errors) / 2)
    assert together.images == 20
    assert mean(found[:1]).score == pytest.approx(found[0].score)
    assert mean(found[:1]).stderr == pytest.approx(found[0].stderr)
    unit = swapped(FRAME, SPACE.start(), 0)
    teachers = (teacher, replace(teacher, seed=1))
    teachers[1].train(Silent())
    alone = [Committee((one,), SHORT).evaluate(unit) for one in teachers]
    both = Committee(teachers, SHORT).evaluate(unit)
    assert min(one.score for one in alone) < both.score < max(one.score for one in alone)
    assert both.images == 2 * SHORT.images


def test_a_network_loses_what_its_units_lose_together_and_gains_by_depth(teacher: Teacher) -> None:
    evaluator = DistillEvaluator(Committee((teacher,), SHORT))
    assert isinstance(evaluator, Composed)
    parts = evaluator.parts(SPACE.start())
    assert len(parts) == len(UNITS)
    assert all(len(differing_units(FRAME, part)) == 1 for part in parts)
    losses = [0.1 * 2**unit for unit in range(len(UNITS))]
    found = [Evaluation(math.exp(-loss), 0.5, 1.0, 0.01, 10, 1.0) for loss in losses]
    start, deeper = SPACE.start(), SPACE.add(SPACE.start(), (7, 1))
    alone = evaluator.compose(start, found)
    assert alone.score == pytest.approx(-math.log(0.4) + 4 * PER_BLOCK)
    assert alone.stderr > 0
    better = [replace(found[0], score=math.exp(-0.05)), *found[1:]]
    gain = evaluator.compose(start, better).score - alone.score
    assert gain == pytest.approx(math.log(2) / len(UNITS))
    gain = evaluator.compose(deeper, found).score - alone.score
    assert gain == pytest.approx(PER_BLOCK)
    hopeless = [Evaluation(math.exp(-100.0), 0.1, 9.9, 0.0, 10, 1.0)] * 5
    lost = alone.score - evaluator.compose(start, hopeless).score
    assert lost == pytest.approx(math.log(100 / 0.4))
    failed = evaluator.compose(start, [*found[:-1], Evaluation.failure("diverged")])
    assert failed.failed == "diverged"


def test_a_search_trains_a_unit_once_screens_the_best_and_survives_kills(
    shell: Shell, tmp_path: Path
) -> None:
    space = ("--space", "rcnet", "--input", "8", "--classes", "10", "--width", "0.25")
    # Few held-out images: thousands of them would take longer than all trainings.
    few = ("--dataset", "digits", "--held-out-per-class", "5")
    options = ("--budget-madds", "0.2M", "--evaluator", "distill", "--images", "32", *few)
    search = ("search", *space, *options, "--teachers", "2", "--json")
    first = shell(*search, "--workers", "2").must().json
    trained = first["trained"]
    assert trained["teacher_images"] == 2 * 20 * 32
    assert 0 < trained["networks"] < 5 * first["evaluations"]
    screened = {one["arch"]: one["score"] for one in first["screened"]}
    units = trained["networks"] - len(screened)
    assert trained["images"] == 2 * 32 * (units + len(screened))
    by_units = sorted(first["networks"], key=lambda one: -one["score"])[: len(screened)]
    assert {one["arch"] for one in by_units} == set(screened)
    best = sorted(screened, key=lambda arch: -screened[arch])[:3]
    assert [one["arch"] for one in first["finalists"]][:3] == best
    # The start network is judged beside them, to be compared with.
    assert first["arch"] in best
    assert first["accuracy"] is not None
    teachers = (shell.folder / "runs" / "teachers").glob("*.pt")
    assert len([path for path in teachers if not path.stem.endswith("-best")]) == 2
    # Idle workers may have trained some ahead of need.
    assert len(list((shell.folder / "runs" / "teachers").glob("*-units/*.pt"))) >= 2 * units
    killed = Shell(tmp_path / "killed", fresh=True)
    killed.folder.mkdir()
    for what in ("*.pt", "*-units/*.pt"):
        _kill_when_there_is(killed, search, what)
    again = killed(*search, "--workers", "1").must()
    assert {**again.json, "ahead": 0} == {**first, "ahead": 0}


def _kill_when_there_is(shell: Shell, command: tuple[str, ...], what: str) -> None:
    process = shell.start(*command)
    deadline = time.monotonic() + 120
    while not list((shell.folder / "runs" / "teachers").glob(what)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_the_teacher_lies_in_one_file(teacher: Teacher, tmp_path: Path) -> None:
    assert teacher.checkpoint.is_file()
    before = teacher.checkpoint.stat().st_mtime_ns
    teacher.train(Silent())
    assert teacher.checkpoint.stat().st_mtime_ns == before
    assert replace(teacher, folder=tmp_path).checkpoint.name == teacher.checkpoint.name


def test_a_teacher_is_trained_on_the_device_of_its_setting(
    teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is a GPU too: a teacher's name and its identity say which one it was."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    here = replace(teacher, folder=tmp_path)
    assert here.train(Silent()).device == here.setting.device == "cpu"
    on_gpu = replace(teacher, setting=replace(teacher.setting, device="cuda"))
    assert on_gpu.checkpoint != teacher.checkpoint
    assert World(on="cuda:1").device == torch.device("cuda:1")
