"""`hwnas train`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout


def train(
    run: options.RunFolder = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    held_out_per_class: options.HeldOutPerClass = None,
    skip_damaged: options.SkipDamaged = False,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training data.", show_default="as usual for the data"),
    ] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Train the winner of a run in full.

    The same command again goes on where a killed one stopped.

    Example: hwnas train --epochs 30
    """
    from hwnas.data.selection import Selection
    from hwnas.runs import find_run
    from hwnas.workflows.request import require_positive
    from hwnas.workflows.train import train_winner

    selection = Selection(held_out_per_class, skip_damaged)
    result = train_winner(
        find_run(workspace, run),
        TerminalReporter(),
        dataset=dataset,
        data_dir=data_dir,
        selection=selection if selection.to_json() else None,
        epochs=require_positive("--epochs", epochs),
    )
    if json:
        print_json(result)
    else:
        show(result)


def show(result: dict[str, Any]) -> None:
    """Print how the training ended."""
    stdout().print(
        f"{result['dataset']}: accuracy {result['accuracy']:.2%} +- "
        f"{result['accuracy_stderr']:.2%} on {result['validation']:,} held-out images, after "
        f"{result['images']:,} training images in {result['seconds']:.0f} s on "
        f"{result['device']}\nnext: hwnas export --format onnx"
    )
