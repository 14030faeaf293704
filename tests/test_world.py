"""Several processes that train one network: what is the same as with one, to which digit.

One process normalises a batch as a whole, several their own parts of it. So a training by two is
that of one which normalises the halves of each batch apart (the witness here, by torch's own
optimiser), to float tolerance; and near that of an ordinary one, which sees the same images with
the same augmentation in the same steps.
"""

from __future__ import annotations

import copy
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from training import GRAPH, SIZE, TORCHRUN, Trainer, write_digits

from hwnas.data.catalog import find_dataset
from hwnas.errors import UserError
from hwnas.models.network import Network, initialise
from hwnas.train.full.presets import Changes, full_recipe
from hwnas.train.loop import Training
from hwnas.train.mixing import mixed
from hwnas.train.world import ALONE, World, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hwnas.data.dataset import Batch
    from hwnas.train.recipe import Recipe

EPOCHS, BATCH = 15, 64
CHANGES = Changes(epochs=EPOCHS, batch_size=BATCH, lr=0.01)
"""A large batch and a low learning rate: else rounding errors of 1e-7 grow to 0.1 in 20 steps."""
MIXED = ("--recipe", "modern", "--epochs", str(EPOCHS), "--batch-size", str(BATCH), "--lr", "0.01")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Two processes, and a training of theirs that nothing disturbed."""
    folder = tmp_path_factory.mktemp("pair")
    # The last batch of the training is smaller, and odd.
    write_digits(folder / "digits", train=604)
    made = Trainer(folder, TORCHRUN)
    done = made.run("whole", *MIXED).must()
    assert done.out.count("next: hwnas export") == 1
    assert done.err.count(f"epoch 1/{EPOCHS}:") == 1
    assert "2 processes" in done.err
    return made


def _saved(folder: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return saved


def _losses(trainer: Trainer, out: str) -> list[float]:
    return [float(line.split(",")[4]) for line in trainer.curve(out)]


def test_two_processes_are_one_that_normalises_the_halves_apart(
    pair: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(pair.folder / "cache"))
    losses, _, _ = _witness(pair.folder / "digits")
    saved = _saved(pair.folder / "whole")
    rows = saved["progress"]["curve"]
    sizes = [BATCH] * (len(losses) - 1) + [rows[-1]["images"] - BATCH * (len(losses) - 1)]
    first = 0
    for row in rows:
        part = slice(first, row["step"])
        expected = np.average(losses[part], weights=sizes[part])
        # Rounding errors grow.
        assert row["train_loss"] == pytest.approx(expected, rel=1e-4 if first == 0 else 0.03)
        first = row["step"]
    assert saved["metrics"]["processes"] == 2


@dataclass(frozen=True)
class Threads(World):
    """Two threads of this process for two processes: sums meet in `slots`."""

    slots: tuple[list[list[torch.Tensor]], threading.Barrier] = field(
        default_factory=lambda: ([[], []], threading.Barrier(2, timeout=60))
    )

    def add(self, tensors: Sequence[torch.Tensor], share: float = 1.0) -> None:
        mine, barrier = self.slots
        mine[self.rank] = [share * tensor for tensor in tensors]
        barrier.wait()
        sums = [left + right for left, right in zip(*mine, strict=True)]
        barrier.wait()
        torch._foreach_copy_(list(tensors), sums)


def test_the_same_to_the_last_digits_in_double_precision(
    pair: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rounding errors have no time to grow; rates are kept in single precision."""
    monkeypatch.setenv("HWNAS_CACHE", str(pair.folder / "cache"))
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(sys.modules[__name__], "CHANGES", replace(CHANGES, epochs=4))
    single = Network
    monkeypatch.setattr(sys.modules[__name__], "Network", lambda graph: single(graph).double())
    losses, network, average = _witness(pair.folder / "digits")
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    slots = Threads(0, 2).slots
    with ThreadPoolExecutor(2) as pool:
        work = [
            pool.submit(_train_part, Threads(rank, 2, slots=slots), pair.folder / "digits")
            for rank in (0, 1)
        ]
        found = [part.result() for part in work]
    for own, training in found:
        assert own == pytest.approx(losses, rel=1e-8)
        for ours, theirs in ((training.network, network), (training.result, average)):
            for name, value in theirs.state_dict().items():
                error = (ours.state_dict()[name] - value).abs().max()
                assert error < 1e-6 * value.abs().max() + 1e-9, name


def _train_part(world: World, digits: Path) -> tuple[list[float], Training]:
    recipe, batches = _recipe_and_batches(digits)
    network = Network(GRAPH)
    initialise(network, 0, still_branches=True)
    training = Training(network, recipe, torch.device("cpu"), world=world)
    return [loss.item() for loss in training.run(batches)], training


def _recipe_and_batches(digits: Path) -> tuple[Recipe, Iterator[Batch]]:
    data = find_dataset(f"parquet:{digits}")
    recipe = full_recipe("modern", data.train_size, 1, CHANGES)
    batches = data.train_batches(recipe.images, recipe.batch_size, SIZE, 0)
    dtype = next(Network(GRAPH).parameters()).dtype
    return recipe, ((images.to(dtype), labels) for images, labels in mixed(batches, recipe, 10, 0))


def _witness(digits: Path) -> tuple[list[float], Network, Network]:
    """Train by torch's own means, each half of a batch normalised alone; losses and networks."""
    recipe, batches = _recipe_and_batches(digits)
    network = Network(GRAPH)
    initialise(network, 0, still_branches=True)
    network.train()
    average = copy.deepcopy(network)
    matrices = [value for value in network.parameters() if value.ndim > 1]
    vectors = [value for value in network.parameters() if value.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimiser = SGD(groups, lr=0.1, momentum=recipe.momentum, nesterov=True)
    losses = []
    for step, (images, labels) in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate(step)
        optimiser.zero_grad()
        losses.append(_halves(network, images, labels, recipe.label_smoothing))
        optimiser.step()
        share = 1 - min(recipe.ema, (1 + step) / (10 + step))
        for own, new in zip(
            average.state_dict().values(), network.state_dict().values(), strict=True
        ):
            own.lerp_(new, share)
    return losses, network, average


def _halves(
    network: Network, images: torch.Tensor, labels: torch.Tensor, smoothing: float
) -> float:
    """Add up gradients of the halves; statistics become the mean of both."""
    buffers = dict(network.named_buffers())
    before = {name: value.clone() for name, value in buffers.items()}
    sums = {name: torch.zeros_like(value) for name, value in buffers.items()}
    total, middle = 0.0, len(images) // 2
    for half in (slice(0, middle), slice(middle, len(images))):
        share = len(images[half]) / len(images)
        for name, value in buffers.items():
            value.copy_(before[name])
        loss = torch.nn.functional.cross_entropy(
            network(images[half]), labels[half], label_smoothing=smoothing
        )
        (share * loss).backward()
        total += share * loss.item()
        for name, value in buffers.items():
            sums[name] += share * value
    for name, value in buffers.items():
        value.copy_(sums[name])
    return total


def test_the_curve_of_two_is_near_that_of_one(pair: Trainer) -> None:
    Trainer(pair.folder).run("alone", *MIXED).must()
    alone, together = _losses(pair, "alone"), _losses(pair, "whole")
    assert len(alone) == len(together) == EPOCHS
    assert together == pytest.approx(alone, rel=0.05)
    assert together != alone


def test_a_killed_pair_goes_on_to_the_same_end(pair: Trainer) -> None:
    tries = (f"killed{number}" for number in range(10))
    out = next(out for out in tries if pair.kill_after(2, 0, out, *MIXED))
    shutil.copytree(pair.folder / out, pair.folder / "fewer")
    done = pair.run(out, *MIXED).must()
    assert done.err.count("going on in epoch") == 1
    assert pair.curve(out) == pair.curve("whole")
    ours, theirs = (_saved(pair.folder / name)["training"] for name in (out, "whole"))
    for part in ("network", "result"):
        assert all(torch.equal(value, theirs[part][name]) for name, value in ours[part].items())
    # What two began, one may end.
    assert "going on in epoch" in Trainer(pair.folder).run("fewer", *MIXED).must().err
    assert pair.curve("fewer")[0] == pair.curve("whole")[0]


def test_a_mistake_is_told_once(pair: Trainer) -> None:
    done = pair.run("mistaken", "--batch-size", "3")
    assert done.code != 0
    (line,) = [line for line in done.err.splitlines() if line.startswith("hwnas: ")]
    assert "a batch of 3 images is too small for 2 processes: give --batch-size 4" in line


@given(count=st.integers(0, 300), size=st.integers(1, 9))
def test_parts_are_of_equal_size_and_make_up_the_whole(count: int, size: int) -> None:
    parts = [range(count)[World(rank, size).part(count)] for rank in range(size)]
    assert [number for part in parts for number in part] == list(range(count))
    sizes = {len(part) for part in parts}
    assert max(sizes) - min(sizes) <= 1


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as world:
        assert world == ALONE
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="RANK is not as torchrun sets it"), joined():
        pass
