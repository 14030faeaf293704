"""The course of a training: epochs, the best of them, what is saved when, and what is told."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from training import GRAPH

from hwnas.data.cluttered_digits import ClutteredDigits
from hwnas.errors import EvaluationFailed, Interrupted, MissingPackage, UserError
from hwnas.models.network import Network, initialise
from hwnas.progress import Advance, Silent
from hwnas.train.full import course
from hwnas.train.full.checkpoint import Job, best_of_checkpoint, load_trained
from hwnas.train.full.listeners import Board
from hwnas.train.full.plan import Plan
from hwnas.train.full.training import train_final
from hwnas.train.loop import Training
from hwnas.train.metrics import measure
from hwnas.train.recipe import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hwnas.data.dataset import Batch
    from hwnas.train.full.listeners import Epoch
    from hwnas.train.full.result import Confusion

EPOCH = 328
RECIPE = replace(QUICK, images=4 * EPOCH, validation=300)


class Digits(ClutteredDigits):
    """The same with short epochs, and with faults from some batch on."""

    train_size = EPOCH
    not_numbers = mislabelled = 10**6

    def train_batches(self, *args: Any, **kwargs: Any) -> Iterator[Batch]:
        batches = super().train_batches(*args, **kwargs)
        for number, (images, labels) in enumerate(batches, kwargs["start"]):
            if number >= self.not_numbers:
                images.fill_(torch.nan)
            yield images, (labels + 1) % 10 if number >= self.mislabelled else labels


class Heard(Silent):
    """Keeps what a listener and a reporter are told; asks to stop after so many steps."""

    def __init__(self, stop_after: int = -1) -> None:
        self.curve: list[Epoch] = []
        self.steps: list[int] = []
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.confusion: Confusion | None = None
        self._left = stop_after

    def on_start(self, step: int) -> None:
        self.started = step

    def on_step(self, step: int, loss: float, learning_rate: float, images_per_s: float) -> None:
        assert loss > 0
        assert images_per_s > 0
        self.steps.append(step)

    def on_epoch(self, curve: Sequence[Epoch]) -> None:
        self.curve = list(curve)

    def on_end(self, confusion: Confusion) -> None:
        self.confusion = confusion

    def info(self, message: str) -> None:
        self.lines.append(message)

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        def advance(steps: int = 1, note: str = "") -> None:
            self.notes.append(note)
            self._left -= steps
            if self._left == 0:
                signal.raise_signal(signal.SIGINT)

        yield advance


def _train(checkpoint: Path, heard: Heard, **changes: Any) -> Any:
    data, recipe = changes.pop("data", Digits()), replace(RECIPE, **changes)
    return train_final(Job(GRAPH, data, recipe, 1, checkpoint), heard, listeners=[heard])


def _timeless(curve: Sequence[Epoch]) -> list[Epoch]:
    return [replace(epoch, seconds=0, images_per_s=0) for epoch in curve]


@given(
    epochs=st.integers(1, 40),
    train_size=st.integers(1, 500),
    batch=st.integers(2, 200),
    least=st.integers(2, 8),
)
def test_a_plan_reaches_every_image_and_ends_with_the_last_epoch(
    epochs: int, train_size: int, batch: int, least: int
) -> None:
    recipe = replace(QUICK, images=epochs * train_size, batch_size=batch)
    plan = Plan(recipe, train_size, least)
    assert plan.epochs == epochs
    assert plan.ends[plan.steps] == epochs
    assert list(plan.ends.values()) == sorted(set(plan.ends.values()))
    left_out = recipe.images - plan.images_at(plan.steps)
    assert left_out == 0 or (0 < left_out < least and plan.steps == recipe.steps - 1)
    for end, epoch in plan.ends.items():
        if end < plan.steps:
            assert 0 <= plan.images_at(end) - epoch * train_size < batch
        assert f"step {end:,} of {plan.steps:,}" in plan.place(end)


def test_every_epoch_has_a_line_and_the_best_one_a_file(tmp_path: Path) -> None:
    heard = Heard()
    result = _train(tmp_path / "c.pt", heard)
    assert [epoch.epoch for epoch in heard.curve] == [1, 2, 3, 4]
    assert [epoch.images for epoch in heard.curve] == [352, 672, 992, 1312]
    assert heard.curve[-1].train_loss < heard.curve[0].train_loss
    assert heard.curve[-1].learning_rate == RECIPE.learning_rate(RECIPE.steps - 1)
    assert len([line for line in heard.lines if line.startswith("epoch ")]) == 4
    assert "images/s" in heard.notes[-1]
    best = max(heard.curve, key=lambda epoch: (epoch.accuracy, -epoch.cross_entropy))
    assert result.best == asdict(best)
    saved = torch.load(best_of_checkpoint(tmp_path / "c.pt"), weights_only=True)
    assert saved["metrics"] == asdict(best)
    assert load_trained(GRAPH, best_of_checkpoint(tmp_path / "c.pt")) is not None
    assert heard.confusion is not None
    right = heard.confusion.counts.trace() / heard.confusion.counts.sum()
    assert right == pytest.approx(result.accuracy)


def test_the_best_epochs_weights_are_kept_when_later_ones_are_worse(tmp_path: Path) -> None:
    data, heard = Digits(), Heard()
    data.mislabelled = 42
    result = _train(tmp_path / "c.pt", heard, data=data, images=8 * EPOCH, warmup=1.0)
    accuracies = [epoch.accuracy for epoch in heard.curve]
    assert max(accuracies) > accuracies[-1] + 0.1
    network = load_trained(GRAPH, best_of_checkpoint(tmp_path / "c.pt"))
    held_out = Digits().held_out("search", 8, course.VALIDATED)
    assert measure(network, held_out).accuracy == result.best["accuracy"] == max(accuracies)


def test_a_stop_in_the_middle_of_an_epoch_ends_in_the_same_curve(tmp_path: Path) -> None:
    whole, cut = Heard(), [Heard(17), Heard(5), Heard()]
    mixing = {"mixup": 0.2, "cutmix": 1.0, "erasing": 0.2, "label_smoothing": 0.1}
    result = _train(tmp_path / "whole.pt", whole, **mixing)
    for heard in cut[:2]:
        with pytest.raises(Interrupted, match="the same command goes on"):
            _train(tmp_path / "cut.pt", heard, **mixing)
    again = _train(tmp_path / "cut.pt", cut[2], **mixing)
    assert [heard.started for heard in cut] == [0, 17, 22]
    assert "going on in epoch 3 of 4, step 22 of 41" in cut[2].lines[1]
    assert _timeless(cut[2].curve) == _timeless(whole.curve)
    assert (again.accuracy, again.cross_entropy) == (result.accuracy, result.cross_entropy)


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    class Twice(Heard):
        @contextmanager
        def task(self, description: str, total: int) -> Iterator[Advance]:
            def advance(steps: int = 1, note: str = "") -> None:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

            yield advance

    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "c.pt", Twice())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_divergence_spoils_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0)
    data, checkpoint = Digits(), tmp_path / "c.pt"
    data.not_numbers = 25
    with pytest.raises(EvaluationFailed, match=r"training diverged.*epoch 3 of 4.*step 25") as told:
        _train(checkpoint, Heard(), data=data)
    assert "unspoiled" in str(told.value)
    for file in (checkpoint, best_of_checkpoint(checkpoint)):
        saved = torch.load(file, weights_only=True)
        assert all(value.isfinite().all() for value in saved["training"]["result"].values())
    whole = Heard()
    _train(tmp_path / "whole.pt", whole)
    mended = Heard()
    _train(checkpoint, mended)
    assert _timeless(mended.curve) == _timeless(whole.curve)


def test_a_full_memory_is_told_with_a_smaller_batch(tmp_path: Path) -> None:
    class Large(Digits):
        def train_batches(self, *args: Any, **kwargs: Any) -> Iterator[Batch]:
            yield torch.empty(10**9, 10**9), torch.empty(0)

    with pytest.raises(UserError, match=r"memory is full.*--batch-size 16"):
        _train(tmp_path / "c.pt", Heard(), data=Large())


def test_a_last_batch_of_one_image_is_left_out(tmp_path: Path) -> None:
    """Batch norm cannot normalise one value."""
    images = 10 * RECIPE.batch_size + 1
    result = _train(tmp_path / "c.pt", Heard(), images=images)
    assert result.images == images - 1


def test_weight_decay_leaves_vectors_alone_if_asked(tmp_path: Path) -> None:
    recipe = replace(RECIPE, images=160, ema=None, decay_norms=False, weight_decay=0.1)
    ours, witness = Network(GRAPH), Network(GRAPH)
    for network in (ours, witness):
        initialise(network, 1)
    training = Training(ours, recipe, torch.device("cpu"))
    batches = list(Digits().train_batches(160, 32, 8, 0, start=0))
    list(training.run(batches))
    matrices = [value for value in witness.parameters() if value.ndim > 1]
    vectors = [value for value in witness.parameters() if value.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    for step, (images, labels) in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate(step)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(witness(images), labels).backward()
        optimiser.step()
    for name, value in ours.state_dict().items():
        assert torch.allclose(value, witness.state_dict()[name], rtol=1e-3, atol=1e-4), name


def test_tensorboard_holds_the_course_once_also_after_a_stop(tmp_path: Path) -> None:
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    heard = Heard()
    recipe = replace(RECIPE, batch_size=4, images=4 * EPOCH)
    for stop_after in (120, -1):
        heard = Heard(stop_after)
        listeners = [heard, Board(tmp_path / "board")]
        try:
            train_final(
                Job(GRAPH, Digits(), recipe, 1, tmp_path / "c.pt"), heard, listeners=listeners
            )
        except Interrupted:
            assert stop_after == 120
    log = accumulators.EventAccumulator(str(tmp_path / "board"))
    log.Reload()
    steps = [event.step for event in log.Scalars("train/loss")]
    assert steps == [50, 100, 150, 200, 250, 300]
    rates = [event.value for event in log.Scalars("train/lr")]
    assert rates == pytest.approx([recipe.learning_rate(step - 1) for step in steps])
    top1 = [(event.step, event.value) for event in log.Scalars("epoch/held-out top-1")]
    assert top1 == [(epoch.step, pytest.approx(epoch.accuracy)) for epoch in heard.curve]
    assert all(event.value > 0 for event in log.Scalars("train/images per s"))


def test_tensorboard_that_is_missing_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(MissingPackage, match=r'pip install "hwnas\[tensorboard\]"'):
        Board(tmp_path)
