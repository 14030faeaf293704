"""Shared weights, of benchmarks alone: what one network learns, the others have."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hwnas.errors import EvaluationFailed
from hwnas.evaluate.setting import Setting
from hwnas.spaces import find_space
from hwnas.train.recipe import QUICK

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from shared_weights import Bank, fresh, inherit
from supernet import SupernetEvaluator

SPACE = find_space("rcnet", input_size="8", classes=10, width=0.25)
START = SPACE.start()


def test_a_heir_of_one_residual_block_more_computes_what_its_parent_does() -> None:
    bank = Bank(SPACE, 0, torch.device("cpu"))
    bank.network(START)
    child = fresh(SPACE, SPACE.add(START, (1, 2)), 5)
    inherit(child, bank.state_dict())
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    parent = bank.network(START).eval()
    assert torch.allclose(child.eval()(images), parent(images), atol=1e-6)


def test_networks_of_a_bank_share_their_layers_in_any_order() -> None:
    bank = Bank(SPACE, 0, torch.device("cpu"))
    one = bank.network(SPACE.add(SPACE.add(START, (1, 2)), (2, 3)))
    other = bank.network(SPACE.add(SPACE.add(START, (1, 3)), (2, 2)))
    assert one.layers["stage0__1__t2__expand"] is other.layers["stage0__2__t2__expand"]
    assert one.layers["stage0__0__t5__expand"] is other.layers["stage0__0__t5__expand"]


def test_supernet_scores_depend_on_the_seed_alone() -> None:
    recipe, tuning = replace(QUICK, images=256), replace(QUICK, images=64, validation=64)
    evaluator = SupernetEvaluator(Setting(SPACE, "cluttered-digits"), recipe, tuning)
    arch = SPACE.add(START, (7, 1))
    first = evaluator.evaluate(arch)
    evaluator.evaluate(START)
    assert evaluator.evaluate(arch) == first
    assert replace(evaluator, seed=1).evaluate(arch) != first


def test_a_step_after_which_nothing_looks_at_the_loss_is_found_out() -> None:
    one_step = replace(QUICK, images=32, peak_lr=1e25, validation=64)
    setting = Setting(SPACE, "cluttered-digits")
    with pytest.raises(EvaluationFailed, match="diverged"):
        SupernetEvaluator(setting, replace(one_step, peak_lr=0.1), one_step).evaluate(START)
