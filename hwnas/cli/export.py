"""`hwnas export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout

if TYPE_CHECKING:
    from hwnas.workflows.winner import Winner


def export(
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="onnx, tflite, coreml (iOS 12) or mlprogram (iOS 15).",
            show_default="the target's",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="fp32, fp16 or int8.", show_default="the target's, else fp32"),
    ] = None,
    run: options.RunFolder = None,
    arch: Annotated[str | None, typer.Option(help="An architecture instead of a run.")] = None,
    space: options.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="With --arch: export it untrained.")
    ] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="With --arch: its weights.")] = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    held_out_per_class: options.HeldOutPerClass = None,
    skip_damaged: options.SkipDamaged = False,
    seed: options.Seed = 0,
    model: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:FUNCTION", help="A torch module of your own, with --input."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="With --model: file of class labels, one per line.")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="With --model: of its channels, 0 to 1.", show_default="ImageNet's"),
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="With --model: the same.", show_default="ImageNet's")
    ] = None,
    images: Annotated[
        int, typer.Option(min=0, help="Held-out images that fp16 and int8 are checked on.")
    ] = 1000,
    max_drop: Annotated[
        float, typer.Option(min=0, help="Points of top-1 that fp16 and int8 may lose.")
    ] = 2.0,
    mediapipe: Annotated[
        bool,
        typer.Option(
            "--mediapipe", help="TFLite: pixels in, float scores out, as MediaPipe takes it."
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder.", show_default="RUN/export")] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Write a model file that was checked against torch.

    Example: hwnas export --format coreml

    Your own network: hwnas export --model my_net.py:build --input 3x224x224 --format onnx
    """
    from hwnas.data.selection import Selection
    from hwnas.errors import UserError
    from hwnas.runs import find_run
    from hwnas.spaces import find_space
    from hwnas.workflows import winner as winners
    from hwnas.workflows.export.provenance import origin_of

    selection = Selection(held_out_per_class, skip_damaged)
    if model is not None:
        if arch is not None or run is not None or checkpoint is not None:
            raise UserError("--model stands for itself: leave --arch, --run, --checkpoint out.")
        stated = {"labels": labels, "mean": mean, "std": std}
        asked: dict[str, Any] = {
            "precision": precision,
            "dataset": dataset,
            "data_dir": data_dir,
            "selection": selection,
        }
        limits = {"images": images, "max_drop": max_drop, "mediapipe": mediapipe}
        result = export_own(
            model, input_size, form, out or workspace / "export", stated, **asked, **limits
        )
        print_json(result) if json else show_export(result)
        return
    if not (labels is None and mean is None and std is None):
        raise UserError("--labels, --mean and --std go with --model: others know their own.")
    if arch is None:
        if dataset is not None or data_dir is not None or selection.to_json():
            raise UserError(
                "--dataset and its options go with --arch or --model: a run knows its own data."
            )
        found = find_run(workspace, run)
        winner, folder = winners.of_run(found), found.path / "export"
        origin = origin_of(workspace, found, winner)
    else:
        if not random_weights and checkpoint is None:
            raise UserError("--arch needs weights: give --checkpoint FILE or --random-weights.")
        geometry: dict[str, Any] = {"input_size": input_size, "classes": classes, "width": width}
        chosen = find_space(space or "rcnet-imagenet", **geometry)
        winner = winners.by_hand(arch, chosen, checkpoint, seed, (dataset, data_dir, selection))
        folder, origin = workspace / "export", {}
    limits = {"images": images, "max_drop": max_drop}
    result = export_winner(
        winner, form, out or folder, origin, precision=precision, mediapipe=mediapipe, **limits
    )
    if json:
        print_json(result)
    else:
        show_export(result)


def export_own(
    model: str,
    input_size: str | None,
    form: str | None,
    folder: Path,
    stated: dict[str, Any],
    **asked: Any,
) -> dict[str, Any]:
    """Export a user's own torch module."""
    from hwnas.errors import UserError
    from hwnas.files import require_writable
    from hwnas.models.own import load_own
    from hwnas.spaces.catalog import parse_resolution
    from hwnas.workflows.export.image_input import Stated
    from hwnas.workflows.export.own_model import Asked, export_model

    if input_size is None:
        raise UserError("--model needs the size of its images: --input 3x224x224.")
    resolution = parse_resolution(input_size)
    own = load_own(model, (3, resolution, resolution))
    require_writable(folder)
    return export_model(
        own, Asked(form or "onnx", stated=Stated(**stated), **asked), folder, TerminalReporter()
    )


def export_winner(
    winner: Winner,
    form: str | None,
    folder: Path,
    origin: dict[str, str],
    *,
    precision: str | None = None,
    mediapipe: bool = False,
    **limits: Any,
) -> dict[str, Any]:
    """Export, warning first when the weights are random."""
    from hwnas.files import require_writable
    from hwnas.targets.formats import check_precision, find_format
    from hwnas.workflows.export import winner_file as exports

    name, usual = exports.usual(winner)
    chosen = find_format(form or name, pixels=mediapipe)
    if precision is None and form in {None, name}:
        precision = usual
    demand = exports.Demand(check_precision(chosen, precision), **limits)
    require_writable(folder)
    reporter = TerminalReporter()
    if winner.outdated:
        reporter.warn(
            "the winner has changed since it was trained: `hwnas train` trains this one, and "
            "keeps that training in the run's folder."
        )
    if not winner.trained:
        reporter.warn(
            "this network is not trained: the file holds random weights, good for timing only "
            "(`hwnas train` first, for a useful one)."
        )
    return exports.export(winner, chosen, demand, folder, origin, reporter)


def show_export(result: dict[str, Any]) -> None:
    """Print what was written and how it was checked."""
    out, parity = stdout(), result["parity"]
    version = result.get("specification_version")
    spec = f", specification version {version}" if version else ""
    weights = ", RANDOM weights" if result["trained"] is False else ""
    out.print(
        f"{result['file']}: {result['size_bytes'] / 1e6:.2f} MB{spec}, "
        f"{result['precision']}{weights}"
    )
    out.print(
        f"parity with {parity['reference']} on {parity['images']} images, run by "
        f"{parity['executor']}: {parity['outputs']} differ by {parity['max_abs']:.1e} absolute, "
        f"{parity['max_rel']:.1e} relative; same class on top for {parity['top1_agreement']:.0%}"
    )
    native = result.get("native_parity")
    if native:
        out.print(
            f"the same on {native['executor']}: {native['max_abs']:.1e} absolute, "
            f"{native['max_rel']:.1e} relative; same class for {native['top1_agreement']:.0%}"
        )
    precision, effect = result["precision"], result.get("precision_effect")
    accuracy = effect["accuracy"] if effect else result.get("accuracy")
    if accuracy:
        out.print(
            f"top-1 {accuracy['top1']:.1%} in {precision}, {accuracy['float_top1']:.1%} in float32,"
            f" on {accuracy['images']} held-out images of {accuracy['dataset']}; same class for "
            f"{accuracy['agreement']:.1%}"
        )
    elif effect:
        out.print(
            f"{precision} changes outputs by {effect['rms_rel']:.1e} relative (root mean square); "
            "what that does to the accuracy was not measured"
        )
    if result.get("mediapipe"):
        out.print("takes pixels as they are (mean 0, std 255), for MediaPipe; gives float scores")
    for line in result["slow_paths"]:
        out.print(f"not as fast as it could be: {line}")
    out.print(f"runs on: {result['target_os']}\nnext: {_next_step(result)}")


def _next_step(result: dict[str, Any]) -> str:
    if result["format"] in {"coreml", "mlprogram"}:
        return "add it to an Xcode project"
    if "model" in result:
        return f"hwnas bench --model {result['file']}"
    int8 = "-int8" if result["precision"] == "int8" else ""
    return f"hwnas bench --target {'onnx-cpu' if result['format'] == 'onnx' else 'tflite'}{int8}"
