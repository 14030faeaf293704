"""torch module to Core ML by coremltools, which converts what torch has traced."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hwnas.targets.artifact import Artifact
from hwnas.targets.convert.quiet import quietly
from hwnas.targets.coreml import require, storage, versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import ImageInput


PRECISIONS = {"coreml": ("fp32", "fp16", "int8"), "mlprogram": ("fp16", "fp32")}
"""What each form takes, the default first; "int8" is for weights alone."""


class _FromUnitPixels(nn.Module):
    """A network with its normalisation before it and a softmax behind: Core ML's classifier."""

    def __init__(self, network: nn.Module, images: ImageInput) -> None:
        super().__init__()
        self.network = network
        self.mean = torch.tensor(images.mean).view(1, 3, 1, 1)
        self.std = torch.tensor(images.std).view(1, 3, 1, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return probabilities for pixels in [0, 1]."""
        scaled: torch.Tensor = self.network((pixels - self.mean) / self.std)
        return scaled.softmax(dim=1)


def to_coreml(
    module: nn.Module,
    example: torch.Tensor,
    images: ImageInput,
    metadata: Mapping[str, str],
    form: str,
    precision: str,
) -> Artifact:
    """Return an image classifier: "image" to "classLabel" and probabilities.

    Args:
        module: in evaluation mode.
        example: one input (1, 3, H, W).
        images: normalisation and labels.
        metadata: texts by name, stored as user-defined metadata.
        form: "coreml" (a neural network) or "mlprogram".
        precision: of weights and, in an ML Program, of values; see `PRECISIONS`.

    Raises:
        MissingPackage: coremltools is not installed.
        UserError: the converter does not take the module.
    """
    require("converters")  # says so when coremltools is missing, and keeps it quiet
    import coremltools as tools

    network = _FromUnitPixels(module, images).eval()
    options: dict[str, Any] = {
        "inputs": [tools.ImageType(name="image", shape=tuple(example.shape), scale=1 / 255)],
        "classifier_config": tools.ClassifierConfig(list(images.labels)),
    }
    if form == "coreml":
        options["convert_to"] = "neuralnetwork"
    else:
        half = precision == "fp16"
        options |= {
            "convert_to": "mlprogram",
            "minimum_deployment_target": tools.target.iOS15,
            "compute_precision": tools.precision.FLOAT16 if half else tools.precision.FLOAT32,
            "skip_model_load": True,
        }
    with quietly("coremltools", "Core ML"), torch.no_grad():
        traced = torch.jit.trace(network, example)  # type: ignore[no-untyped-call]
        model = tools.convert(traced, **options)
        model.user_defined_metadata.update(dict(metadata))
        model.author = "hwnas"
        return _network(model.get_spec(), precision) if form == "coreml" else _package(model)


def _network(spec: Any, precision: str) -> Artifact:
    storage.store(spec.neuralNetworkClassifier.layers, precision)
    spec.specificationVersion = max(spec.specificationVersion, versions.required_version(spec))
    return Artifact.single(bytes(spec.SerializeToString(deterministic=True)))


def _package(model: Any) -> Artifact:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mlpackage"
        model.save(str(path))
        return Artifact.read(path)
