"""torch module to a Core ML ML Program by coremltools, from what torch.export has traced.

Not to the older neural networks: coremltools writes those for iOS 13 and later only, and iOS 15
has the ML Program.
"""
# ruff: noqa: D102 - `Converter` says what each of these is for

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hwnas.targets.apple import require
from hwnas.targets.apple.classifier import IMAGE, LABEL, PIXEL_SCALE
from hwnas.targets.convert.converter import Converter
from hwnas.targets.mlprogram import package
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    from torch import Tensor

    from hwnas.graph import ImageInput
    from hwnas.targets.convert.converter import Texts
    from hwnas.targets.shared.artifact import Artifact

LARGE = 2048
"""Numbers of a weight that is stored in 8 bits; smaller ones would save little."""


class MlProgramConverter(Converter):
    """Classifiers of "image" to "classLabel" and "probabilities", for iOS 15, or 16 in 8 bits.

    int8: large weights, one scale per output channel, the rest as fp16.
    """

    name = "coremltools"
    precisions = ("fp16", "fp32", "int8")
    packages = ("torch", "coremltools")

    def convert(
        self, module: nn.Module, example: Tensor, images: ImageInput, about: Texts, precision: str
    ) -> Artifact:
        require("converters")  # says so when coremltools is missing, and keeps it quiet
        import coremltools as tools

        kinds, targets = tools.precision, tools.target
        with quietly("coremltools", "an ML Program"), torch.no_grad():
            network = _FromUnitPixels(module, images).eval()
            program = torch.export.export(network, (example,)).run_decompositions({})
            model = tools.convert(
                program,
                inputs=[tools.ImageType(name=IMAGE, shape=tuple(example.shape), scale=PIXEL_SCALE)],
                classifier_config=tools.ClassifierConfig(list(images.labels), LABEL),
                convert_to="mlprogram",
                minimum_deployment_target=targets.iOS16 if precision == "int8" else targets.iOS15,
                compute_precision=kinds.FLOAT32 if precision == "fp32" else kinds.FLOAT16,
                skip_model_load=True,
            )
            if precision == "int8":
                model = _in_8_bits(model)
            return package.saved(model, about, images)


class _FromUnitPixels(nn.Module):
    """A network with its normalisation before it and a softmax behind: Core ML's classifier."""

    def __init__(self, network: nn.Module, images: ImageInput) -> None:
        super().__init__()
        self.network = network
        self.normalise = nn.Conv2d(3, 3, 1, groups=3)
        mean, std = torch.tensor(images.mean), torch.tensor(images.std)
        self.normalise.weight = nn.Parameter((1 / std).view(3, 1, 1, 1))
        self.normalise.bias = nn.Parameter(-mean / std)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return probabilities for pixels in [0, 1]."""
        scores: torch.Tensor = self.network(self.normalise(pixels))
        return scores.softmax(dim=1)


def _in_8_bits(model: Any) -> Any:
    """Return the model with its large weights as integers, by coremltools' own optimiser."""
    optimise = require("optimize.coreml")
    how = optimise.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=LARGE)
    return optimise.linear_quantize_weights(model, optimise.OptimizationConfig(global_config=how))
