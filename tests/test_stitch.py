"""Networks put together from trained units: they are these, and their scores repeat."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from teachers import SETTING, SHORT, SPACE, trained_teacher

from hwnas.evaluate.distill.evaluator import Committee
from hwnas.evaluate.distill.stitch import StitchEvaluator, put_together
from hwnas.evaluate.distill.teacher import Teacher, trained
from hwnas.evaluate.distill.units import ordered, parts_of, units_of
from hwnas.evaluate.workers.pool import open_pool
from hwnas.models.network import module_name, run_layers
from hwnas.progress import Silent
from hwnas.train.metrics import measure
from hwnas.train.recipe import STITCH

if TYPE_CHECKING:
    from pathlib import Path

LARGER = SPACE.parse("5,0,0,0,0,0|5,4,1,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0|5,0,0,0,0,0|2,0,0,0,0,0")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return trained_teacher(tmp_path_factory.mktemp("teachers"), images=1024)


@pytest.fixture
def evaluator(taught: Teacher, tmp_path: Path) -> StitchEvaluator:
    teacher = replace(taught, folder=tmp_path)
    shutil.copy(taught.checkpoint, teacher.checkpoint)
    part = Committee((teacher,), SHORT)
    return StitchEvaluator(part, replace(STITCH, images=256, validation=500))


def test_a_network_is_the_teachers_stem_and_its_own_units(evaluator: StitchEvaluator) -> None:
    (taught,) = evaluator.part.teachers
    network = put_together(evaluator.part, taught, LARGER).eval()
    assert network.graph == SPACE.graph(ordered(LARGER))
    teacher = trained(taught)
    value = images = torch.randn(3, 3, 8, 8)
    stem, *units = parts_of(network.graph)
    with torch.inference_mode():
        value = run_layers(stem, teacher.layers, value)
        for unit, nodes in zip(units_of(LARGER), units, strict=True):
            file = evaluator.part.training(taught, unit, 0).file
            weights = torch.load(file, weights_only=True)
            names = [module_name(node.name) for node in nodes]
            assert {key.split(".")[0] for key in weights} <= set(names)
            value = run_layers(nodes, network.layers, value)
            for name, tensor in weights.items():
                assert torch.equal(network.layers.state_dict()[name], tensor)
        torch.testing.assert_close(value, network(images))


def test_the_score_is_of_before_and_after_and_training_helps(evaluator: StitchEvaluator) -> None:
    (teacher,) = evaluator.part.teachers
    held_out = SETTING.held_out("search", 500)
    before = measure(put_together(evaluator.part, teacher, LARGER), held_out).cross_entropy
    found = evaluator.evaluate(LARGER)
    assert found.cross_entropy is not None
    assert found.score == pytest.approx(-math.log(before * found.cross_entropy) / 2)
    assert found.cross_entropy < before
    assert found.images == 256
    assert found.stderr > 0


def test_scores_do_not_depend_on_who_trained_the_units(evaluator: StitchEvaluator) -> None:
    found = evaluator.evaluate(LARGER)
    files = sorted(evaluator.part.teachers[0].folder.glob("*-units/*.pt"))
    assert len(files) == len(units_of(LARGER))
    assert evaluator.evaluate(LARGER) == found
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    files[2].write_bytes(b"")
    with open_pool(evaluator, 2) as pool:
        assert dict(pool.results([((*LARGER,), 0)])) == {(LARGER, 0): found}
    assert evaluator.evaluate(LARGER, 1).score != found.score


def test_the_score_is_the_mean_over_the_teachers_of_a_committee(evaluator: StitchEvaluator) -> None:
    (teacher,) = evaluator.part.teachers
    another = replace(teacher, seed=1)
    another.train(Silent())
    alone, others, both = (
        replace(evaluator, part=Committee(teachers, SHORT)).evaluate(LARGER)
        for teachers in ((teacher,), (another,), (teacher, another))
    )
    assert alone.score != others.score
    assert both.score == pytest.approx((alone.score + others.score) / 2)
    assert both.images == 2 * 256


def test_everything_that_decides_a_score_is_in_its_identity(evaluator: StitchEvaluator) -> None:
    part, (teacher,) = evaluator.part, evaluator.part.teachers
    others = [
        replace(evaluator, recipe=replace(evaluator.recipe, images=64)),
        replace(evaluator, part=replace(part, teachers=(replace(teacher, seed=1),))),
        replace(evaluator, part=replace(part, teachers=(teacher, teacher))),
    ]
    identities = {str(other.identity()) for other in [evaluator, *others]}
    assert len(identities) == len(others) + 1


def test_what_takes_too_long_is_a_verdict(evaluator: StitchEvaluator) -> None:
    slow = replace(evaluator, part=replace(evaluator.part, time_limit_s=1e-9))
    assert evaluator.longest_s is None
    assert slow.longest_s == pytest.approx(6e-9)
    with open_pool(slow) as pool:
        ((_, evaluation),) = pool.results([(LARGER, 0)])
    assert "timed out" in (evaluation.failed or "")
