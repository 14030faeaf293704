"""The standard converters: a torch module as a file, and its 8 bits by a quantiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hwnas import __version__
from hwnas.graph import file_metadata
from hwnas.targets.shared.artifact import Artifact
from hwnas.workflows.export.provenance import origin_of_own

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import ImageInput
    from hwnas.models.own import OwnModel


@dataclass(frozen=True, slots=True)
class Converter:
    """What writes files of a format.

    Attributes:
        name: for people.
        precisions: that it takes, the default first.
        packages: that it is in, by the names that pip knows.
        quantiser: makes 8 bits of a float32 file, by calibration images; None where the converter
            does so itself, without.
    """

    name: str
    precisions: tuple[str, ...]
    packages: tuple[str, ...]
    quantiser: str | None = None

    def packages_of(self, precision: str) -> tuple[str, ...]:
        """Return the packages that write a file, by the names that pip knows."""
        if precision != "int8" or self.quantiser is None:
            return self.packages
        return (*self.packages, self.quantiser.partition(".")[0])


CONVERTERS = {
    "onnx": Converter(
        "torch.onnx.export",
        ("fp32", "int8"),
        ("torch", "onnxscript"),
        quantiser="onnxruntime.quantization",
    ),
    "tflite": Converter(
        "litert-torch", ("fp32", "int8"), ("torch", "litert-torch"), quantiser="litert-quantizer"
    ),
    "mlprogram": Converter("coremltools", ("fp16", "fp32", "int8"), ("torch", "coremltools")),
}


def convert(
    model: OwnModel, form: str, precision: str, images: ImageInput, *, pixels: bool = False
) -> Artifact:
    """Return the module as a file, written by the standard converter.

    Args:
        model: the module.
        form: "onnx" or "tflite", in float32 and not yet described; or "mlprogram".
        precision: of an ML Program.
        images: normalisation and labels.
        pixels: of a TFLite file: normalise in it.

    Raises:
        MissingPackage: the converter is not installed.
        UserError: it does not take the module.
    """
    example = torch.zeros(1, *model.input_shape)
    if form == "onnx":
        from hwnas.targets.convert.to_onnx import to_onnx

        return Artifact.single(to_onnx(model.module, example))
    if form == "tflite":
        from hwnas.targets.convert.to_tflite import to_tflite

        return Artifact.single(to_tflite(model.module, example, images if pixels else None))
    from hwnas.targets.convert.to_mlprogram import to_mlprogram

    return to_mlprogram(model.module, example, images, _about(model, form, precision), precision)


def require_quantiser(form: str) -> None:
    """Fail before any long work where the quantiser of a format is not installed.

    Raises:
        MissingPackage: it is not.
    """
    from hwnas.targets.convert import int8_onnx, int8_tflite

    int8_onnx.require() if form == "onnx" else int8_tflite.require()


def quantise(
    form: str, artifact: Artifact, calibration: NDArray[np.float32], *, pixels: bool = False
) -> Artifact:
    """Return a float32 file of a format with a quantiser in 8 bits.

    Args:
        form: its format.
        artifact: as `convert` wrote it.
        calibration: images (n, 3, H, W) as the file takes them.
        pixels: of a TFLite file: it normalises by itself, and its ends stay float32.

    Raises:
        MissingPackage: the quantiser is not installed.
        UserError: it does not take the file.
    """
    from hwnas.targets.convert import int8_onnx, int8_tflite

    if form == "onnx":
        return Artifact.single(int8_onnx.quantised(artifact.content, calibration))
    made = int8_tflite.quantised(artifact.content, calibration, float_ends=pixels)
    return Artifact.single(made)


def describe(
    model: OwnModel, form: str, precision: str, images: ImageInput, artifact: Artifact
) -> Artifact:
    """Return the file with labels, normalisation and provenance in its format's own fields."""
    about = _about(model, form, precision)
    if form == "onnx":
        from hwnas.targets.onnx import file

        return Artifact.single(file.described(artifact.content, file_metadata(images, about)))
    if form == "tflite":
        from hwnas.targets.tflite.described import described

        return Artifact.single(described(artifact.content, model.input_shape, images, about))
    return artifact  # its converter was told


def _about(model: OwnModel, form: str, precision: str) -> dict[str, str]:
    origin = origin_of_own(model, CONVERTERS[form].packages_of(precision))
    return {
        "hwnas.version": __version__,
        "hwnas.precision": precision,
        **{f"hwnas.{name}": text for name, text in origin.items()},
    }
