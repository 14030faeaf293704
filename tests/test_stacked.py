"""Stacked copies, of benchmarks alone, are the networks that they are copies of."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from operations import OPERATIONS
from torch.optim import SGD

from hwnas.data.cluttered_digits import ClutteredDigits
from hwnas.models.network import Network, initialise
from hwnas.spaces import find_space
from hwnas.train.loop import Training
from hwnas.train.recipe import QUICK

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from stacked_networks import StackedNetwork, stack_images, stacked_loss

SPACE = find_space("rcnet", input_size="8", classes=10, width=0.25)
ARCH = SPACE.parse("5,2,0,0,0,0|5,3,0,0,0,0|5,0,0,0,0,0|1,0,0,0,0,0|5,0,0,0,0,0|6,0,0,0,0,0")
RECIPE = replace(QUICK, images=160)
DATA = ClutteredDigits()
CPU = torch.device("cpu")


def _network(seed: int) -> Network:
    network = Network(SPACE.graph(ARCH))
    initialise(network, seed, still_branches=True)
    return network


def test_copies_train_as_each_would_alone() -> None:
    seeds = (1, 2, 3)
    alone = [Training(_network(seed), RECIPE, CPU) for seed in seeds]
    batches = [list(DATA.train_batches(RECIPE.images, 32, 8, seed)) for seed in seeds]
    for training, some in zip(alone, batches, strict=True):
        list(training.run(some))
    copies = StackedNetwork([_network(seed) for seed in seeds])
    together = Training(copies, RECIPE, CPU, loss=partial(stacked_loss, copies))
    stacked = [
        (stack_images([images for images, _ in some]), torch.cat([labels for _, labels in some]))
        for some in zip(*batches, strict=True)
    ]
    list(together.run(stacked))
    images, _ = next(DATA.held_out("search", 8, 64))
    together.result.eval()
    logits = together.result(stack_images([images] * len(seeds)))
    for index, training in enumerate(alone):
        expected = training.result.eval()(images)
        assert (logits[index] - expected).abs().max() < 2e-3 * expected.abs().max()


@pytest.mark.parametrize("operation", ["slice", "concat", "gate", "linear relu", "max pool"])
def test_operations_that_no_searched_network_has_are_refused(operation: str) -> None:
    networks = [Network(OPERATIONS[operation])] * 2
    with pytest.raises(NotImplementedError, match="side by side"):
        StackedNetwork(networks)


def test_steps_are_those_of_torch_sgd() -> None:
    recipe = replace(RECIPE, ema=None)
    training, witness = Training(_network(1), recipe, CPU), _network(1)
    optimiser = SGD(
        witness.parameters(),
        lr=recipe.peak_lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    witness.train()
    batches = list(DATA.train_batches(recipe.images, 32, 8, 0))
    for step, ((images, labels), loss) in enumerate(
        zip(batches, training.run(batches), strict=True)
    ):
        optimiser.param_groups[0]["lr"] = recipe.learning_rate(step)
        expected = torch.nn.functional.cross_entropy(witness(images), labels)
        optimiser.zero_grad()
        expected.backward()
        optimiser.step()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
