"""What is no number is a verdict on a network, whoever scores it, and never a score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from teachers import SETTING, SHORT, SPACE, trained_teacher

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.distill import stitch, unit_training
from hwnas.evaluate.distill.evaluator import Committee
from hwnas.evaluate.distill.stitch import StitchEvaluator
from hwnas.evaluate.distill.units import FRAME, swapped
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.evaluate.workers.pool import open_pool
from hwnas.train.loop import Training
from hwnas.train.metrics import Metrics
from hwnas.train.recipe import QUICK, STITCH

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.models.network import Network

START = SPACE.canonical(SPACE.start())
UNIT = swapped(FRAME, SPACE.start(), 0)
ONE_STEP = replace(QUICK, images=32, peak_lr=1e25, validation=64)


@pytest.fixture
def committee(tmp_path: Path) -> Committee:
    return Committee((trained_teacher(tmp_path, images=64),), replace(SHORT, images=32))


def _stitched(committee: Committee, **changes: Any) -> StitchEvaluator:
    recipe = replace(STITCH, images=32, validation=64, **changes)
    return StitchEvaluator(committee, recipe)


def test_a_step_after_which_nothing_looks_at_the_loss_is_found_out() -> None:
    """The loss of the only step is that of the initial weights, a good number."""
    with open_pool(TrainEvaluator(SETTING, ONE_STEP)) as pool:
        ((_, found),) = pool.results([(START, 0)])
    assert "diverged" in (found.failed or "")


def test_statistics_that_are_no_numbers_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an infinite variance batch norm gives zeros, and so a finite cross-entropy."""
    run = Training.run

    def spoiling(self: Training, batches: Any) -> Any:
        yield from run(self, batches)
        for value in (*self.network.buffers(), *self.result.buffers()):
            value.fill_(math.inf)

    monkeypatch.setattr(Training, "run", spoiling)
    with pytest.raises(EvaluationFailed, match="diverged"):
        TrainEvaluator(SETTING, replace(ONE_STEP, peak_lr=0.1)).evaluate(START)


def test_a_unit_and_a_whole_that_diverge_in_one_step_are_found_out(
    committee: Committee,
) -> None:
    with pytest.raises(EvaluationFailed, match="diverged"):
        replace(committee, recipe=replace(committee.recipe, peak_lr=1e25)).evaluate(UNIT)
    with pytest.raises(EvaluationFailed, match="diverged"):
        _stitched(committee, peak_lr=1e25).evaluate(START)


@pytest.mark.parametrize("factor", [0.0, 1e4, 1e30, math.nan])
def test_a_whole_with_hopeless_classifiers_is_a_verdict_or_a_number(
    committee: Committee, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among them cross-entropies whose exponential is zero: of these there is no logarithm."""
    put_together = stitch.put_together

    def scaled(*args: Any) -> Network:
        network = put_together(*args)
        for value in list(network.parameters())[-2:]:
            value.detach().mul_(factor)
        return network

    monkeypatch.setattr(stitch, "put_together", scaled)
    with open_pool(_stitched(committee, peak_lr=1e-30)) as pool:
        ((_, found),) = pool.results([(START, 0)])
    assert math.isfinite(found.score)
    if factor in (0.0, 1e30):
        assert bool(found.failed) == bool(factor)
    assert found.failed is None or "diverged" in found.failed


def test_a_whole_that_is_sure_of_every_class_has_a_score() -> None:
    sure = Evaluation.of(Metrics(1.0, 0.0, 0.0, 0.0, 100, None), images=32, seconds=1.0)
    found = stitch._both(0.0, sure)
    assert found.score > 10
    assert math.isfinite(found.stderr)


def test_class_scores_of_a_unit_that_are_no_numbers_are_found_out(
    committee: Committee, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = unit_training._Trainee.logits

    def spoilt(*args: Any) -> list[torch.Tensor]:
        return [torch.full_like(value, math.nan) for value in logits(*args)]

    monkeypatch.setattr(unit_training._Trainee, "logits", spoilt)
    with pytest.raises(EvaluationFailed, match="diverged"):
        committee.evaluate(UNIT)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_evaluation_holds_what_is_no_number(value: float) -> None:
    good = Evaluation(0.5, 0.5, 0.7, 0.1, 10, 1.0)
    for name in ("score", "accuracy", "cross_entropy", "stderr"):
        with pytest.raises(EvaluationFailed, match="diverged"):
            replace(good, **{name: value})
    with pytest.raises(EvaluationFailed, match="diverged"):
        Evaluation.of(Metrics(0.1, 0.0, 800.0, 1.0, 100, None), images=1, seconds=1.0)
    assert good.failed is None
