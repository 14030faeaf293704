"""Training: it learns, and an interruption changes nothing."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from training import Trainer

from hwnas.data.cluttered_digits import ClutteredDigits
from hwnas.errors import EvaluationFailed, UserError
from hwnas.models.network import Network, initialise
from hwnas.progress import Advance, Silent
from hwnas.spaces import find_space
from hwnas.train.full import course
from hwnas.train.full.checkpoint import Job, load_trained
from hwnas.train.full.training import train_final
from hwnas.train.loop import Training
from hwnas.train.recipe import PAPER_CIFAR, PAPER_SEARCH, QUICK, Recipe, final_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPACE = find_space("rcnet", input_size="8", classes=10, width=0.25)
GRAPH = SPACE.graph(SPACE.start())
RECIPE = replace(QUICK, images=3_200, validation=300)
DATA = ClutteredDigits()


class StopAfter(Silent):
    """Ends a training in the middle without a chance to save, like a kill."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        def advance(steps: int = 1, note: str = "") -> None:
            self.steps -= steps
            if self.steps < 0:
                raise KeyboardInterrupt

        yield advance


def test_the_loss_falls() -> None:
    network = Network(GRAPH)
    initialise(network, 0, still_branches=True)
    training = Training(network, RECIPE, torch.device("cpu"))
    batches = DATA.train_batches(RECIPE.images, RECIPE.batch_size, 8, 0)
    losses = [loss.item() for loss in training.run(batches)]
    assert len(losses) == RECIPE.steps
    assert sum(losses[-20:]) / 20 < 0.9 * sum(losses[:20]) / 20


def test_an_interrupted_training_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0)
    whole = train_final(Job(GRAPH, DATA, RECIPE, 1, tmp_path / "whole.pt"), Silent())
    for steps in (30, 40):
        with pytest.raises(KeyboardInterrupt):
            train_final(Job(GRAPH, DATA, RECIPE, 1, tmp_path / "cut.pt"), StopAfter(steps))
    cut = train_final(Job(GRAPH, DATA, RECIPE, 1, tmp_path / "cut.pt"), Silent())
    assert (cut.accuracy, cut.cross_entropy) == (whole.accuracy, whole.cross_entropy)
    ours, theirs = (
        load_trained(GRAPH, tmp_path / f"{n}.pt").state_dict() for n in ("cut", "whole")
    )
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    before = (tmp_path / "cut.pt").stat().st_mtime_ns
    assert train_final(Job(GRAPH, DATA, RECIPE, 1, tmp_path / "cut.pt"), Silent()) == cut
    assert (tmp_path / "cut.pt").stat().st_mtime_ns == before


def test_all_test_images_are_reported_on_and_counted(tmp_path: Path) -> None:
    """More of them than a recipe's own number; the bundled digits, without end, stop somewhere."""
    raw, test = tmp_path / "FashionMNIST" / "raw", 10_300
    raw.mkdir(parents=True)
    for part, count in (("train", 200), ("t10k", test)):
        head = np.array([0x803, count, 28, 28], ">i4").tobytes()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + bytes(28**2 * count))
        head = np.array([0x801, count], ">i4").tobytes()
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    trainer = Trainer(tmp_path)
    data = ("--dataset", "fashion-mnist", "--data-dir", str(tmp_path))
    trainer("out", *data, "--epochs", "1").must()
    about = trainer.about("out")
    assert about["recipe"]["validation"] < about["validation"] == test
    # All images are alike, so that one answer is given to all.
    assert about["accuracy"] == pytest.approx(0.1)
    matrix = (tmp_path / "out" / "confusion.csv").read_text().splitlines()[1:]
    assert sum(int(cell) for line in matrix for cell in line.split(",")[1:]) == test
    result = train_final(
        Job(GRAPH, DATA, replace(RECIPE, images=64), 1, tmp_path / "c.pt"), Silent()
    )
    assert result.validation == DATA.train_size


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    tiny = replace(RECIPE, images=320)
    checkpoint = tmp_path / "c.pt"
    train_final(Job(GRAPH, DATA, tiny, 1, checkpoint), Silent())
    other = SPACE.graph(SPACE.add(SPACE.start(), (1, 2)))
    for graph, recipe, seed, told in (
        (other, tiny, 1, "network"),
        (GRAPH, replace(tiny, peak_lr=0.2), 1, "recipe"),
        (GRAPH, tiny, 2, "seed"),
    ):
        with pytest.raises(UserError, match=f"another {told}"):
            train_final(Job(graph, DATA, recipe, seed, checkpoint), Silent())
    with pytest.raises(UserError, match="another network"):
        load_trained(other, checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match="no checkpoint") as error:
        load_trained(GRAPH, checkpoint)
    assert str(error.value).endswith("no checkpoint of hwnas: remove it to train anew.")
    with pytest.raises(UserError, match="is missing"):
        load_trained(GRAPH, tmp_path / "none.pt")


def test_a_diverging_training_is_told() -> None:
    network = Network(GRAPH)
    initialise(network, 0)
    training = Training(network, replace(RECIPE, peak_lr=1e25), torch.device("cpu"))
    with pytest.raises(EvaluationFailed, match="diverged"):
        list(training.run(DATA.train_batches(RECIPE.images, 32, 8, 0)))


def test_learning_rates_follow_the_schedules() -> None:
    cycle = Recipe("r", images=100, batch_size=1, peak_lr=1.0, warmup=0.2)
    rates = [cycle.learning_rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[20] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[99] < 0.001
    middles = [PAPER_SEARCH.steps * (2 * epoch + 1) // 20 for epoch in range(10)]
    by_epoch = [PAPER_SEARCH.learning_rate(step) for step in middles]
    assert by_epoch == pytest.approx([0.1] * 4 + [0.01] * 3 + [0.001] * 2 + [0.0001])
    paper = [PAPER_CIFAR.learning_rate(PAPER_CIFAR.steps * e // 200 + 5) for e in (0, 60, 120, 180)]
    assert paper == pytest.approx([0.1, 0.01, 0.001, 0.0001])


def test_full_recipes_grow_with_the_epochs() -> None:
    short, long = final_recipe(10_000, 6), final_recipe(50_000, 200)
    assert (short.images, short.batch_size) == (60_000, 64)
    assert (long.images, long.batch_size) == (10_000_000, 128)
    assert short.ema is not None
    assert long.ema is not None
    assert 0.98 <= short.ema < long.ema < 1
