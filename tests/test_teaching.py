"""Teachers that cannot be trained: the line that tells it names what `hwnas search` has for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import torch
from teachers import SETTING

from hwnas.errors import HwnasError, UserError
from hwnas.evaluate.distill.teacher import Teacher, teach, trained
from hwnas.progress import Silent
from hwnas.train.loop import Training
from hwnas.train.recipe import TEACHER

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.progress import Reporter
    from hwnas.train.full.result import TrainResult

OF_TRAIN = ("--lr", "--fresh", "--batch-size", "--warmup-epochs", "hwnas train", "torchrun")
RECIPE = replace(TEACHER, images=128)


@dataclass(frozen=True)
class Mortal(Teacher):
    """Ends the process that trains it."""

    def train(self, reporter: Reporter) -> TrainResult:
        os._exit(7)


def _failure(teacher: Teacher, workers: int) -> str:
    """Train it and another one; return what is told."""
    with pytest.raises(HwnasError) as told:
        teach((teacher, replace(teacher, seed=1)), Silent(), workers)
    line = str(told.value)
    assert "\n" not in line
    assert not [option for option in OF_TRAIN if option in line]
    return line


@pytest.mark.parametrize("workers", [0, 2])
def test_one_that_diverges_asks_for_another_seed(workers: int, tmp_path: Path) -> None:
    told = _failure(Teacher(SETTING, replace(RECIPE, peak_lr=1e25), 0, tmp_path), workers)
    assert "diverged" in told
    assert "--seed" in told
    assert "--evaluator" in told


def test_one_that_does_not_fit_asks_for_fewer_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Training, "_compute", full)
    told = _failure(Teacher(SETTING, RECIPE, 0, tmp_path), 0)
    assert "memory is full" in told
    assert "--workers" in told


def test_one_whose_process_is_killed_asks_for_fewer_workers(tmp_path: Path) -> None:
    told = _failure(Mortal(SETTING, RECIPE, 0, tmp_path), 2)
    assert "exit code 7. Take fewer --workers" in told


def test_one_that_is_missing_is_trained_by_the_same_search(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing: the same search") as told:
        trained(Teacher(SETTING, RECIPE, 7, tmp_path))
    assert not [option for option in OF_TRAIN if option in str(told.value)]
