"""The evaluator whose candidates start from weights that were trained once for all of them.

First the start network alone is trained, so that what is added later joins something that works;
then, in every step, the start network with a few random blocks more. A candidate takes its weights
from there, is trained a little on its own, and is scored. All candidates see the same batches.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from shared_weights import Bank, fresh, inherit
from torch.nn import functional

from hwnas.evaluate.trainer import train_and_score
from hwnas.seeds import derive
from hwnas.spaces.blocks import BLOCK_TYPES
from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES
from hwnas.train.full_memory import memory_errors
from hwnas.train.lanes import finish
from hwnas.train.loop import Training

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from hwnas.data.dataset import Split
    from hwnas.evaluate.evaluation import Evaluation
    from hwnas.evaluate.setting import Setting
    from hwnas.spaces import Arch, RcnetSpace
    from hwnas.train.lanes import Work
    from hwnas.train.recipe import Recipe

VERSION = 1
"""To be raised with any change that changes scores."""


@dataclass(frozen=True)
class SupernetEvaluator:
    """Trains one set of weights for all candidates, then each candidate a little.

    Attributes:
        setting: geometry, data and device.
        recipe: training of the shared weights.
        tuning: training of one candidate from there.
        warm: share of the recipe that the start network is trained alone.
        blocks: at most so many blocks more than the start network's are trained together; 0
            trains the start network alone, and candidates inherit from that.
        seed: of weights, batches and the order of blocks.
        split: held-out images that score.
        lanes: networks in training side by side on a GPU.
    """

    setting: Setting
    recipe: Recipe
    tuning: Recipe
    warm: float = 0.25
    blocks: int = 12
    seed: int = 0
    split: Split = "search"
    lanes: int = 1

    def identity(self) -> dict[str, Any]:
        """Return what decides the score."""
        return {
            "evaluator": "supernet",
            "version": VERSION,
            **self.setting.identity(),
            "recipe": asdict(self.recipe),
            "tuning": asdict(self.tuning),
            "warm": self.warm,
            "blocks": self.blocks,
            "seed": self.seed,
            "split": self.split,
        }

    @property
    def torch_device(self) -> torch.device:
        """The setting's."""
        return self.setting.torch_device

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        """Train and score one network.

        Raises:
            EvaluationFailed: training diverged.
            MemoryError: the network is too large for this machine.
        """
        return finish(self.work(arch, replicate))

    def work(self, arch: Arch, replicate: int = 0) -> Work[Evaluation]:
        """Do what `evaluate` does, giving way now and then."""
        seed = derive(self.seed, "replicate", replicate)
        with memory_errors():
            state = shared_weights(self, seed)
            began = time.perf_counter()
            network = fresh(self.setting.space, arch, seed)
            inherit(network, state)
            training = Training(network, self.tuning, self.setting.torch_device)
            seed = derive(seed, "tuning")
            return (yield from train_and_score(self.setting, training, seed, self.split, began))


def shared_weights(evaluator: SupernetEvaluator, seed: int) -> dict[str, dict[str, Tensor]]:
    """Return the weights that all candidates start from, trained once per process."""
    key = (str(evaluator.identity()), seed)
    if key not in _trained:
        _trained[key] = _train_bank(evaluator, seed)
    return _trained[key]


_trained: dict[tuple[str, int], dict[str, dict[str, Tensor]]] = {}


def _train_bank(evaluator: SupernetEvaluator, seed: int) -> dict[str, dict[str, Tensor]]:
    setting, recipe = evaluator.setting, evaluator.recipe
    space, device = setting.space, setting.torch_device
    bank = Bank(space, seed, device)
    archs = sampled_archs(space, evaluator.blocks, derive(seed, "order"))
    judged, seed = evaluator.split == "judge", derive(seed, "supernet")
    batches = setting.batches(recipe.images, recipe.batch_size, seed, judged=judged)
    momentum: defaultdict[Tensor, Any] = defaultdict(dict)
    for step, (images, labels) in enumerate(batches):
        arch = space.start() if step < evaluator.warm * recipe.steps else next(archs)
        network = bank.network(arch).train()
        optimiser = torch.optim.SGD(
            network.parameters(),
            recipe.learning_rate(step),
            recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=True,
        )
        # What a layer learnt as a part of another network goes on.
        optimiser.state = momentum
        optimiser.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            logits = network(images)
        loss: Any = functional.cross_entropy(logits.float(), labels)
        loss.backward()
        optimiser.step()
    return {
        name: {key: value.clone() for key, value in layer.items()}
        for name, layer in bank.state_dict().items()
    }


def sampled_archs(space: RcnetSpace, blocks: int, seed: int) -> Iterator[Arch]:
    """Yield the start network with 0 to `blocks` blocks more.

    Every type is added to every stage equally often: they are dealt from a shuffled deck.
    """
    rng = np.random.default_rng(seed)
    deck: list[tuple[int, int]] = []
    pairs = [(stage, block) for stage in range(STAGES) for block in BLOCK_TYPES]
    while True:
        arch = space.canonical(space.start())
        for _ in range(rng.integers(0, blocks + 1)):
            if not deck:
                deck = [pairs[index] for index in rng.permutation(len(pairs))]
            stage, block = deck.pop()
            first = stage * STAGE_POSITIONS
            free = [p for p in range(first, first + STAGE_POSITIONS) if not arch[p]]
            if free:
                arch = space.add(arch, (free[0], block))
        yield arch
