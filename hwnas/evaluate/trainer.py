"""The evaluator that trains every candidate from scratch for a short while."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from hwnas.data.catalog import find_dataset
from hwnas.evaluate.evaluation import Evaluation
from hwnas.models.network import Network, initialise
from hwnas.seeds import derive
from hwnas.train.loop import Training
from hwnas.train.metrics import Metrics, measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hwnas.data.dataset import Dataset, Split
    from hwnas.spaces import Arch, RcnetSpace
    from hwnas.train.recipe import Recipe

VERSION = 2
"""To be raised with any change of the training code that changes scores."""

dataset_of = lru_cache(maxsize=4)(find_dataset)
"""Data sets stay loaded: a process scores many candidates on one."""


@dataclass(frozen=True)
class TrainEvaluator:
    """Trains by `recipe` at the proxy geometry and scores on held-out images.

    All candidates see the same batches in the same order and share the initial weights of what
    they have in common, so that most of the luck cancels in comparisons.

    Attributes:
        space: the proxy geometry.
        dataset: as the user names it, e.g. "cluttered-digits".
        data_dir: where downloaded data sets lie, or None.
        recipe: short training.
        seed: of weights and batches.
        device: torch device, such as "cpu" or "cuda".
        split: held-out images that score.
    """

    space: RcnetSpace
    dataset: str
    recipe: Recipe
    seed: int = 0
    data_dir: Path | None = None
    device: str = "cpu"
    split: Split = "search"

    def identity(self) -> dict[str, Any]:
        """Return what decides the score."""
        return {
            "evaluator": "train",
            "version": VERSION,
            "space": asdict(self.space),
            "data": self._data.fingerprint,
            "recipe": self.recipe.as_dict(),
            "seed": self.seed,
            "device": self.device,
            "split": self.split,
        }

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        """Train and score one network.

        Raises:
            EvaluationFailed: training diverged.
            MemoryError: the network is too large for this machine.
        """
        began = time.perf_counter()
        with _memory_errors():
            metrics = self._train(arch, derive(self.seed, "replicate", replicate))
        return Evaluation.of(
            metrics.accuracy,
            metrics.cross_entropy,
            metrics.cross_entropy_stderr,
            images=self.recipe.images,
            seconds=time.perf_counter() - began,
        )

    def _train(self, arch: Arch, seed: int) -> Metrics:
        network = Network(self.space.graph(arch))
        initialise(network, seed, still_branches=True)
        data, resolution, device = self._data, self.space.resolution, torch.device(self.device)
        training = Training(network, self.recipe, device)
        batches = data.train_batches(
            self.recipe.images, self.recipe.batch_size, resolution, seed, device=device
        )
        for _ in training.run(batches):
            pass
        held_out = data.held_out(self.split, resolution, self.recipe.validation, device=device)
        return measure(training.result, held_out)

    @property
    def _data(self) -> Dataset:
        return dataset_of(self.dataset, self.data_dir)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Raise MemoryError where torch raises one of its own, or a bare RuntimeError on a CPU."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise MemoryError(str(error).splitlines()[0]) from error
        raise
