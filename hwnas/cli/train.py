"""`hwnas train`."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.train.full.presets import DEFAULT, Changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.data.selection import Selection
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace
    from hwnas.workflows.train.train import How

AS_PRESET = "the recipe's"


def _hyper(help_text: str, flag: str | None = None) -> Any:
    """Return an option that changes one number of the recipe."""
    names = [flag] if flag else []
    return typer.Option(*names, help=help_text, show_default=AS_PRESET)


def train(
    run: options.RunFolder = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="one-cycle, cifar or imagenet (those of the RCNet paper), or modern.",
        ),
    ] = DEFAULT,
    held_out_per_class: options.HeldOutPerClass = None,
    skip_damaged: options.SkipDamaged = False,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training data.", show_default="the recipe's or data's"),
    ] = None,
    lr: Annotated[float | None, _hyper("Highest learning rate.")] = None,
    batch_size: Annotated[
        int | None, _hyper("Images per step, those of all GPUs together.")
    ] = None,
    weight_decay: Annotated[float | None, _hyper("Weight decay.")] = None,
    momentum: Annotated[float | None, _hyper("Nesterov momentum.")] = None,
    warmup_epochs: Annotated[
        float | None, _hyper("Epochs in which the learning rate rises.")
    ] = None,
    ema: Annotated[
        float | None, _hyper("Decay per step of the averaged weights; 0 for none.")
    ] = None,
    label_smoothing: Annotated[float | None, _hyper("Share given to all classes alike.")] = None,
    mixup: Annotated[float | None, _hyper("Parameter of mixup's shares; 0 for none.")] = None,
    cutmix: Annotated[float | None, _hyper("Parameter of CutMix's areas; 0 for none.")] = None,
    erasing: Annotated[float | None, _hyper("Probability of random erasing.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of weights and batches.", show_default="the run's")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew; what was trained is kept aside.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's event files, too.")
    ] = False,
    arch: Annotated[
        str | None, typer.Option(help="An architecture instead of a run, with --dataset.")
    ] = None,
    space: options.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With --arch: folder.", show_default="WORKSPACE/trained/..."),
    ] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Train the winner of a run in full, or any architecture.

    The same command again goes on where a stopped or killed one was.

    Example: hwnas train --epochs 30

    Several GPUs: torchrun --nproc-per-node 4 -m hwnas train --recipe cifar
    """
    from hwnas.data.selection import Selection
    from hwnas.progress import Silent
    from hwnas.train.world import joined
    from hwnas.workflows.train.train import How

    changes = Changes(
        epochs=epochs,
        lr=lr,
        batch_size=batch_size,
        weight_decay=weight_decay,
        momentum=momentum,
        warmup_epochs=warmup_epochs,
        ema=ema,
        label_smoothing=label_smoothing,
        mixup=mixup,
        cutmix=cutmix,
        erasing=erasing,
    )
    geometry = _Geometry(space, input_size, classes, width)
    with _told_once(), joined() as world:
        how = How(recipe, changes, seed, fresh, tensorboard, world)
        reporter = TerminalReporter() if world.first else Silent()
        selection = Selection(held_out_per_class, skip_damaged)
        what = _What(workspace, run, arch, geometry, (dataset, data_dir, selection), out)
        result = what.train(reporter, how)
    if not world.first:
        return
    if json:
        print_json(result)
    else:
        show(result)


@dataclass(frozen=True, slots=True)
class _Geometry:
    """The options that name a space."""

    space: str | None
    input_size: str | None
    classes: int | None
    width: float | None


@dataclass(frozen=True, slots=True)
class _What:
    """The options that say what is trained on what."""

    workspace: Path
    run: Path | None
    arch: str | None
    geometry: _Geometry
    data: tuple[str | None, Path | None, Selection]
    out: Path | None

    def train(self, reporter: Reporter, how: How) -> dict[str, Any]:
        """Train the winner of a run, or the architecture that was given."""
        from hwnas.errors import UserError
        from hwnas.runs import find_run
        from hwnas.spaces import find_space
        from hwnas.workflows.train.train import train_by_hand, train_winner

        dataset, data_dir, selection = self.data
        if self.arch is None:
            if self.out is not None or any(astuple(self.geometry)):
                raise UserError(
                    "--space, --input, --classes, --width and --out go with --arch: a run knows "
                    "its own."
                )
            run = find_run(self.workspace, self.run)
            return train_winner(
                run,
                reporter,
                dataset=dataset,
                data_dir=data_dir,
                selection=selection if selection.to_json() else None,
                how=how,
            )
        if self.run is not None:
            raise UserError("give either --arch or --run.")
        if dataset is None or self.geometry.space is None:
            raise UserError(
                "--arch needs its geometry and its data: for instance --space rcnet-cifar10 "
                "--dataset cifar10 --data-dir DIR."
            )
        name, *rest = astuple(self.geometry)
        size, classes, width = rest
        space = find_space(name, input_size=size, classes=classes, width=width)
        folder = self.out or self.workspace / "trained" / _folder_name(self.arch, space)
        data = dataset, data_dir, selection
        return train_by_hand(self.arch, space, folder, reporter, data, how)


def _folder_name(arch: str, space: RcnetSpace) -> str:
    from hwnas.files import fingerprint

    canonical = space.canonical(space.parse(arch))
    return f"{space.name}-{fingerprint(space.format(canonical))[:6]}"


@contextmanager
def _told_once() -> Iterator[None]:
    """Let the first process of a machine alone tell what went wrong for all of them."""
    from hwnas.errors import HwnasError

    try:
        yield
    except HwnasError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            raise
        raise typer.Exit(error.exit_code) from None


def show(result: dict[str, Any]) -> None:
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
