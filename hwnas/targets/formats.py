"""Deployment formats by name, and what converts to them: the door for export and parity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.errors import UserError, one_of

if TYPE_CHECKING:
    from hwnas.targets.convert.converter import Converter
    from hwnas.targets.shared.format import Format

FORMATS = ("onnx", "tflite", "coreml", "mlprogram")
CONVERTED = ("onnx", "tflite", "mlprogram")
"""Those that torch modules become, which no graph describes."""


def find_format(name: str, *, pixels: bool = False) -> Format:
    """Return a format by name.

    Args:
        name: one of `FORMATS`.
        pixels: TFLite with normalisation in the file, as MediaPipe takes it.

    Raises:
        UserError: unknown name, or one whose files cannot be so.
        MissingPackage: its packages are not installed.
    """
    if pixels and name in FORMATS and name != "tflite":
        raise UserError(f"--mediapipe is for TFLite files, not for {name}: give --format tflite.")
    match name:
        case "onnx":
            from hwnas.targets.onnx.format import Onnx

            return Onnx()
        case "tflite":
            from hwnas.targets.tflite.format import TfLite, TfLiteOfPixels

            return TfLiteOfPixels() if pixels else TfLite()
        case "coreml":
            from hwnas.targets.coreml.format import NeuralNetwork

            return NeuralNetwork()
        case "mlprogram":
            from hwnas.targets.mlprogram.format import MlProgram

            return MlProgram()
    raise one_of("format", name, list(FORMATS))


def find_converter(name: str, *, pixels: bool = False) -> Converter:
    """Return what writes a torch module as a format of `CONVERTED`; arguments as `find_format`."""
    match name:
        case "onnx":
            from hwnas.targets.convert.onnx import OnnxConverter

            return OnnxConverter()
        case "tflite":
            from hwnas.targets.convert.tflite import TfLiteConverter

            return TfLiteConverter(pixels=pixels)
        case "mlprogram":
            from hwnas.targets.convert.mlprogram import MlProgramConverter

            return MlProgramConverter()
    raise one_of("format", name, list(CONVERTED))


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
