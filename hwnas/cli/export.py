"""`hwnas export`."""

from __future__ import annotations

from typing import Any

from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.workflows.export.options import ExportOptions


@command(ExportOptions)
def export(options: ExportOptions, *, json: bool) -> None:
    """Write a model file that was checked against torch.

    Example: hwnas export --format coreml

    Your own network: hwnas export --model my_net.py:build --input 3x224x224 --format onnx
    """
    from hwnas.workflows.export import export as workflow

    result = workflow.export(options, TerminalReporter())
    print_json(result) if json else show_exported(result)


def show_exported(result: dict[str, Any]) -> None:
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
