"""Scores without training: what they count, and a search that uses them."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

from hwnas.evaluate.zero_cost import ZeroCostEvaluator, activations
from hwnas.models.network import Network
from hwnas.spaces import find_space

if TYPE_CHECKING:
    from conftest import Shell

SPACE = find_space("rcnet", input_size="8", classes=10, width=0.25)


def test_activations_are_those_of_the_module() -> None:
    import torch

    arch = SPACE.add(SPACE.start(), (7, 3))
    network = Network(SPACE.graph(arch)).eval()
    counted = 0

    def count(_module: object, _inputs: object, output: torch.Tensor) -> None:
        nonlocal counted
        counted += output[0].numel()

    for layer in network.layers.values():
        layer.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, 8, 8))
    assert activations(SPACE, arch) == counted


def test_every_block_raises_the_score_and_replicates_are_equal() -> None:
    evaluator = ZeroCostEvaluator(SPACE)
    start = evaluator.evaluate(SPACE.start())
    assert start.score == math.log(activations(SPACE, SPACE.start()))
    assert start == evaluator.evaluate(SPACE.start(), 3)
    assert (start.images, start.stderr, start.failed) == (0, 0.0, None)
    for arch in SPACE.additions(SPACE.start()):
        assert evaluator.evaluate(arch).score > start.score


def test_the_geometry_is_the_identity() -> None:
    evaluator = ZeroCostEvaluator(SPACE)
    other = replace(evaluator, space=replace(SPACE, resolution=16))
    assert evaluator.identity() != other.identity()
    assert pickle.loads(pickle.dumps(evaluator)).identity() == evaluator.identity()  # noqa: S301


def test_a_search_without_training_has_its_finalists_trained(shell: Shell) -> None:
    budgets = ("--space", "rcnet-digits", "--budget-madds", "0.8M")
    options = ("--evaluator", "zero-cost", "--images", "64", "--workers", "1", "--json")
    found = shell("search", *budgets, *options).must().json
    judged = 3 * 64 * len(found["finalists"])
    nothing = {"networks": 0, "images": 0, "teacher_images": 0}
    assert found["trained"] == nothing | {"judge_images": judged}
    assert found["evaluations"] > 10
    assert found["audit"]["violated"] == 0
    assert found["accuracy"] is not None
    assert found["score_source"] == "finalists scored again with more training"
