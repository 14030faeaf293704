"""Deployment formats by name."""

from __future__ import annotations

from hwnas.errors import UserError, one_of
from hwnas.targets.shared.format import FORMATS, Format


def find_format(name: str, *, pixels: bool = False) -> Format:
    """Return a format by name.

    Args:
        name: one of `FORMATS`.
        pixels: TFLite with normalisation in the file, as MediaPipe takes it.

    Raises:
        UserError: unknown name, or one whose files cannot be so.
        MissingPackage: its packages are not installed.
    """
    if name not in FORMATS:
        raise one_of("format", name, list(FORMATS))
    if pixels and name != "tflite":
        raise UserError(f"--mediapipe is for TFLite files, not for {name}: give --format tflite.")
    if name in {"onnx", "tflite"}:
        from hwnas.targets import runtime_formats

        return runtime_formats.onnx() if name == "onnx" else runtime_formats.tflite(pixels=pixels)
    from hwnas.targets.apple import formats

    return formats.neural_network() if name == "coreml" else formats.ml_program()


def check_precision(form: Format, precision: str | None) -> str:
    """Return the precision, or the format's default for None.

    Raises:
        UserError: the format does not take it.
    """
    if precision is None:
        return form.precisions[0]
    if precision not in form.precisions:
        raise one_of(f"precision of {form.name}", precision, list(form.precisions))
    return precision
