"""Deployment formats by name."""

from __future__ import annotations

from hwnas.errors import one_of
from hwnas.targets.content import FORMATS, Format


def find_format(name: str) -> Format:
    """Return a format by name.

    Raises:
        UserError: unknown name.
        MissingPackage: its packages are not installed.
    """
    if name not in FORMATS:
        raise one_of("format", name, list(FORMATS))
    if name in {"onnx", "tflite"}:
        from hwnas.targets import runtime_formats

        return runtime_formats.onnx() if name == "onnx" else runtime_formats.tflite()
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
