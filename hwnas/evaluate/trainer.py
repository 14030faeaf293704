"""The evaluator that trains every candidate from scratch for a short while."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.errors import TimedOut
from hwnas.evaluate.evaluation import Evaluation, images_counted
from hwnas.models.network import Network, initialise
from hwnas.seeds import derive
from hwnas.train.full_memory import memory_errors
from hwnas.train.lanes import finish
from hwnas.train.loop import GPU_CHECK_STEPS, Training
from hwnas.train.metrics import measure

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from hwnas.data.dataset import Batch, Split
    from hwnas.evaluate.setting import Setting
    from hwnas.spaces import Arch
    from hwnas.train.lanes import Work
    from hwnas.train.recipe import Recipe

VERSION = 3
"""To be raised with any change of the training code that changes scores."""


@dataclass(frozen=True)
class TrainEvaluator:
    """Trains by `recipe` at the proxy geometry and scores on held-out images.

    All candidates see the same batches in the same order and share the initial weights of what
    they have in common, so that most of the luck cancels in comparisons.

    Attributes:
        setting: geometry, data and device.
        recipe: short training.
        seed: of weights and batches.
        split: held-out images that score.
        lanes: networks in training side by side on a GPU.
        time_limit_s: a network that takes longer is recorded as failed; None for no limit.
    """

    setting: Setting
    recipe: Recipe
    seed: int = 0
    split: Split = "search"
    lanes: int = 1
    time_limit_s: float | None = None

    def identity(self) -> dict[str, Any]:
        """Return what decides the score."""
        return {
            "evaluator": "train",
            "version": VERSION,
            **self.setting.identity(),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "split": self.split,
            # Whether a network fails hangs on it.
            "time_limit_s": self.time_limit_s,
        }

    @property
    def longest_s(self) -> float | None:
        """The time limit."""
        return self.time_limit_s

    @property
    def torch_device(self) -> torch.device:
        """The setting's."""
        return self.setting.torch_device

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        """Train and score one network.

        Raises:
            EvaluationFailed: training diverged, or took longer than the limit.
            MemoryError: the network is too large for this machine.
        """
        return finish(self.work(arch, replicate))

    def work(self, arch: Arch, replicate: int = 0) -> Work[Evaluation]:
        """Do what `evaluate` does, giving way now and then."""
        began = time.perf_counter()
        seed = derive(self.seed, "replicate", replicate)
        with memory_errors():
            network = Network(self.setting.space.graph(arch))
            initialise(network, seed, still_branches=True)
            training = Training(network, self.recipe, self.setting.torch_device)
            with images_counted(lambda: training.images_seen):
                return (
                    yield from train_and_score(
                        self.setting, training, seed, self.split, began, self.time_limit_s
                    )
                )


def train_and_score(
    setting: Setting,
    training: Training,
    seed: int,
    split: Split,
    began: float,
    limit_s: float | None = None,
) -> Work[Evaluation]:
    """Train to the end, giving way whenever a GPU has enough to do; return the score.

    Args:
        setting: data and device.
        training: at its first step.
        seed: of the batches.
        split: held-out images that score; "judge" is left out of the training, too.
        began: when the evaluation did, by `time.perf_counter`.
        limit_s: how long it may take from then on; None for no limit.

    Raises:
        EvaluationFailed: training diverged, or took longer than the limit.
    """
    recipe = training.recipe
    batches = setting.batches(recipe.images, recipe.batch_size, seed, judged=split == "judge")
    yield from train_within(training, batches, began, limit_s)
    # The losses are those before each step: what the last ones did is not in them.
    training.require_finite()
    metrics = measure(training.result, setting.held_out(split, recipe.validation))
    seconds = time.perf_counter() - began
    return Evaluation.of(metrics, images=recipe.images, seconds=seconds)


def train_within(
    training: Training, batches: Iterable[Batch], began: float, limit_s: float | None
) -> Work[None]:
    """Train on all batches, giving way whenever a GPU has enough to do.

    Raises:
        EvaluationFailed: training diverged, or took longer than the limit since it began.
    """
    for _ in training.run(batches):
        if limit_s is not None and time.perf_counter() > began + limit_s:
            raise TimedOut(
                f"timed out: step {training.step} of {training.recipe.steps} after {limit_s:g} s"
            )
        if training.step % GPU_CHECK_STEPS == 0:
            yield
