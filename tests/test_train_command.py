"""`hwnas train` as users meet it: killed, stopped, mistaken, and by hand."""

from __future__ import annotations

import os
import platform
import random
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import Done
from training import ARCH, Trainer, write_digits

import hwnas
from hwnas.device import describe_host

if TYPE_CHECKING:
    from pathlib import Path

EPOCHS = ("--epochs", "12")
TRAINED = 600 - 65
"""Images of an epoch: a tenth of each class, rounded up, is held out."""


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A folder with the digits, decoded, and a training of them that nothing disturbed."""
    folder = tmp_path_factory.mktemp("training")
    write_digits(folder / "digits")
    made = Trainer(folder)
    made("whole", *EPOCHS).must()
    return made


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)
    state = saved["training"]
    momentum = {str(index): value for index, value in enumerate(state["momentum"])}
    return {**state["network"], **momentum, "result": torch.cat(
        [value.flatten() for value in state["result"].values()]
    )}  # fmt: skip


def _saved_epochs(folder: Path) -> int:
    return len(torch.load(folder / "checkpoint.pt", weights_only=True)["progress"]["curve"])


def test_kill_9_changes_nothing_and_repeats_one_epoch_at_most(trainer: Trainer) -> None:
    rng, kills, folder = random.Random(0), 0, trainer.folder / "killed"
    for epochs in (1, 4, 7):
        kills += trainer.kill_after(epochs, rng.uniform(0, 0.3), "killed", *EPOCHS)
        saved = _saved_epochs(folder)
        assert saved >= len(trainer.curve("killed")) - 1
    assert kills
    before = (folder / "checkpoint-best.pt").exists()
    told = trainer("killed", *EPOCHS).must().err
    if saved < 12:
        assert f"going on in epoch {saved + 1} of 12" in told
    lines = [line.split(":")[0] for line in told.splitlines() if line.startswith("epoch ")]
    assert lines == [f"epoch {epoch}/12" for epoch in range(saved + 1, 13)]
    assert before
    assert trainer.curve("killed") == trainer.curve("whole")
    ours, theirs = _weights(folder), _weights(trainer.folder / "whole")
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    about, whole = trainer.about("killed"), trainer.about("whole")
    for name in ("accuracy", "cross_entropy", "top5", "confused", "images"):
        assert about[name] == whole[name]
    matrices = [(trainer.folder / run / "confusion.csv").read_text() for run in ("killed", "whole")]
    assert matrices[0] == matrices[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_tells_how_to_go_on(
    trainer: Trainer, number: signal.Signals
) -> None:
    out = number.name
    with trainer.start(out, *EPOCHS) as process:
        while process.poll() is None and len(trainer.curve(out)) < 2:
            time.sleep(0.01)
        os.kill(process.pid, number)
        printed, told = process.communicate(timeout=120)
    Done(process.returncode, printed, told).must(130)
    last = told.splitlines()[-1]
    assert "training stopped in epoch" in last
    assert "the same command goes on" in last
    step = torch.load(trainer.folder / out / "checkpoint.pt", weights_only=True)["training"]["step"]
    assert f"step {step:,} of" in last
    trainer(out, *EPOCHS).must()
    assert trainer.curve(out) == trainer.curve("whole")


def test_what_train_json_records(trainer: Trainer) -> None:
    about = trainer.about("whole")
    assert about["arch"] == ARCH
    assert about["preset"] == "one-cycle"
    assert about["recipe"]["batch_size"] == 32
    assert about["recipe"]["mixup"] == 0
    assert about["epochs"] == 12
    _require_where_it_was_trained(about)
    assert about["images"] == 12 * TRAINED
    assert about["validation"] == 200
    assert about["accuracy"] <= about["top5"] <= 1
    rows = trainer.curve("whole")
    assert len(rows) == 12
    accuracies = [float(row.split(",")[6]) for row in rows]
    assert about["best"]["accuracy"] == max(accuracies)
    matrix = (trainer.folder / about["files"]["confusion"]).read_text().splitlines()
    counts = [[int(cell) for cell in line.split(",")[1:]] for line in matrix[1:]]
    right = sum(counts[index][index] for index in range(10))
    assert right / sum(map(sum, counts)) == pytest.approx(about["accuracy"])
    worst = about["confused"][0]
    assert counts[int(worst["label"])][int(worst["taken_for"])] == worst["images"]


def _require_where_it_was_trained(about: dict[str, Any]) -> None:
    cuda = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if cuda else describe_host()["cpu"]
    assert (about["device"], about["device_name"]) == ("cuda" if cuda else "cpu", name)
    assert about["precision"] == ("bf16" if cuda else "fp32")
    assert about["processes"] == 1
    versions = {
        "hwnas": hwnas.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    assert about["versions"] == {**versions, **({"cuda": torch.version.cuda} if cuda else {})}


def test_what_train_json_records_after_a_stop_is_of_the_whole_training(trainer: Trainer) -> None:
    with trainer.start("resumed", *EPOCHS) as process:
        while process.poll() is None and len(trainer.curve("resumed")) < 3:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        printed, told = process.communicate(timeout=120)
    Done(process.returncode, printed, told).must(130)
    saved = torch.load(trainer.folder / "resumed/checkpoint.pt", weights_only=True)
    assert 0 < saved["training"]["step"] * 32 < 12 * TRAINED
    trainer("resumed", *EPOCHS).must()
    about = trainer.about("resumed")
    _require_where_it_was_trained(about)
    assert about["images"] == 12 * TRAINED
    assert about["epochs"] == 12
    assert about["seconds"] > saved["seconds"]
    assert about["best"]["images"] <= about["images"]


def test_a_trained_network_is_exported_with_the_command_that_was_told(trainer: Trainer) -> None:
    done = trainer("whole", *EPOCHS).must()
    assert "trained to the end already" in done.err
    command = shlex.split(done.out.split("next: hwnas ")[1])
    for checkpoint in ("whole/checkpoint.pt", "whole/checkpoint-best.pt"):
        command[command.index("--checkpoint") + 1] = checkpoint
        assert trainer.command(*command, "--json").must().json["trained"] is True


def test_fresh_keeps_what_was_trained(trainer: Trainer) -> None:
    trainer("again", "--epochs", "1").must()
    line = trainer("again", "--epochs", "1", "--lr", "0.05").must(2).err
    assert "of another recipe (peak_lr 0.1, now 0.05)" in line
    assert "--fresh" in line
    kept = (trainer.folder / "again/checkpoint.pt").read_bytes()
    trainer("again", "--epochs", "1", "--lr", "0.05", "--fresh").must()
    assert trainer.about("again")["recipe"]["peak_lr"] == 0.05
    (earlier,) = (trainer.folder / "again/earlier").iterdir()
    assert (earlier / "checkpoint.pt").read_bytes() == kept
    names = {path.name for path in earlier.iterdir()}
    assert names >= {"train.json", "train.csv", "confusion.csv", "checkpoint-best.pt"}


def test_divergence_is_one_line_with_a_remedy(trainer: Trainer) -> None:
    done = trainer("diverged", "--epochs", "2", "--lr", "1e25").must(2)
    (line,) = [line for line in done.err.splitlines() if line.startswith("hwnas: ")]
    assert "training diverged" in line
    assert "--lr 3e+24 --fresh" in line
    assert "Nothing of this training is saved" in line
    assert {path.name for path in (trainer.folder / "diverged").iterdir()} <= {".lock"}


def test_a_full_disk_is_one_clear_line_and_keeps_the_last_checkpoint(trainer: Trainer) -> None:
    """Files cannot grow beyond so many blocks of 1 KiB, which ends in the same system error."""
    trainer.kill_after(2, 0, "full", *EPOCHS)
    kept = (trainer.folder / "full/checkpoint.pt").read_bytes()
    command = [sys.executable, "-m", "hwnas", *trainer.arguments("full", *EPOCHS)]
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 100; exec {shlex.join(command)}"],
        cwd=trainer.folder,
        capture_output=True,
        text=True,
        env=trainer.environment,
        check=False,
    )
    Done(done.returncode, done.stdout, done.stderr).must(2)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hwnas: ")]
    assert "cannot write" in line
    assert (trainer.folder / "full/checkpoint.pt").read_bytes() == kept
    trainer("full", *EPOCHS).must()
    assert trainer.curve("full") == trainer.curve("whole")


MISTAKES = [
    (("--recipe", "mystery"), "Known: one-cycle, cifar, imagenet, modern"),
    (("--lr", "0"), "--lr must be above 0"),
    (("--ema", "1"), "--ema must be from 0 to below 1"),
    (("--batch-size", "1"), "--batch-size must be at least 2"),
    (("--epochs", "0"), "--epochs must be at least 1"),
    (("--weight-decay", "-1"), "--weight-decay must be 0 or more"),
    (("--erasing", "2"), "--erasing must be from 0 to 1"),
    (("--epochs", "2", "--warmup-epochs", "3"), "longer than the training of 2 epochs"),
    (("--classes", "11"), "11 classes, but parquet:digits has 10"),
    (("--run", "."), "either --arch or --run"),
    (("--arch", "1,2"), "36 type numbers"),
]


@pytest.mark.parametrize(("arguments", "told"), MISTAKES)
def test_a_mistake_is_one_clear_line(
    trainer: Trainer, arguments: tuple[str, ...], told: str
) -> None:
    done = trainer("mistaken", *arguments).must(2)
    assert len(done.err.splitlines()) == 1
    assert told in done.err
    assert not (trainer.folder / "mistaken").exists()
