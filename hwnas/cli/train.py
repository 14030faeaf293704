"""`hwnas train`."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.errors import HwnasError
from hwnas.workflows.train.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Iterator


@command(TrainOptions)
def train(options: TrainOptions, *, json: bool) -> None:
    """Train the winner of a run in full, or any architecture.

    The same command again goes on where a stopped or killed one was.

    Example: hwnas train --epochs 30

    Several GPUs: torchrun --nproc-per-node 4 -m hwnas train --recipe cifar
    """
    from hwnas.progress import Silent
    from hwnas.train.world import joined
    from hwnas.workflows.train import train as workflow

    with _told_once(), joined() as world:
        reporter = TerminalReporter() if world.first else Silent()
        result = workflow.train(options, reporter, world)
    if world.first:
        print_json(result) if json else show_trained(result)


@contextmanager
def _told_once() -> Iterator[None]:
    """Let the first process of a machine alone tell what went wrong for all of them."""
    try:
        yield
    except HwnasError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            raise
        raise typer.Exit(error.exit_code) from None


def show_trained(result: dict[str, Any]) -> None:
    """Print how the training ended."""
    out, files = stdout(), result["files"]
    top5 = "" if result["top5"] is None else f", top-5 {result['top5']:.2%}"
    out.print(
        f"{result['dataset']}: top-1 {result['accuracy']:.2%} +- "
        f"{result['accuracy_stderr']:.2%}{top5} on {result['validation']:,} held-out images, after "
        f"{result['images']:,} training images in {result['seconds']:.0f} s on {result['device']}"
    )
    if (best := result["best"]) and "best" in files:
        out.print(
            f"best on other held-out images after epoch {best['epoch']} of {result['epochs']} "
            f"({best['accuracy']:.2%}): {files['best']}"
        )
    if result["confused"]:
        out.print("most often confused: " + ", ".join(map(_confused, result["confused"])))
    if {"curve", "confusion"} <= files.keys():
        out.print(f"curve: {files['curve']}; all confusions: {files['confusion']}")
    out.print(f"next: {_next_step(result)}")


def _confused(pair: dict[str, Any]) -> str:
    return f"{pair['label']} taken for {pair['taken_for']} ({pair['share']:.1%})"


def _next_step(result: dict[str, Any]) -> str:
    if result["run"] is not None:
        return "hwnas export --format onnx"
    options = {
        "--arch": result["arch"],
        "--space": result["space"],
        "--checkpoint": result["files"]["checkpoint"],
        "--dataset": result["dataset"],
        "--data-dir": result["data_dir"],
    }
    words = [word for pair in options.items() if pair[1] is not None for word in pair]
    return f"hwnas export --format onnx {shlex.join(words)}"
