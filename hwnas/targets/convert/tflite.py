"""torch module to TFLite by litert-torch, to 8 bits by litert-quantizer; both are optional."""
# ruff: noqa: ARG002, D102 - `Converter` says what each of these is for

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hwnas.errors import MissingPackage, UserError
from hwnas.targets.convert.converter import Converter
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.imports import import_whole
from hwnas.targets.shared.quiet import quietly
from hwnas.targets.tflite.described import described
from hwnas.targets.tflite.runtime import load_interpreter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import ImageInput, Shape
    from hwnas.targets.convert.converter import Texts

ENDS: tuple[dict[str, Any], ...] = tuple(
    {"regex": ".*", "operation": end, "algorithm_key": "no_quantize", "op_config": {}}
    for end in ("INPUT", "OUTPUT")
)
"""Rules that leave the ends of a model as they are."""


class TfLiteConverter(Converter):
    """Files of float32 (1, H, W, C) to the module's scores; in 8 bits, of int8 to int8."""

    name = "litert-torch"
    packages = ("torch", "litert-torch")
    quantiser = "litert-quantizer"

    def __init__(self, *, pixels: bool = False) -> None:
        """Take what its files take.

        Args:
            pixels: of 0 to 1, which the file normalises; its ends stay float32 in 8 bits.
        """
        self._pixels = pixels

    def convert(
        self, module: nn.Module, example: Tensor, images: ImageInput, about: Texts, precision: str
    ) -> Artifact:
        litert_torch = _litert_torch()
        network = _ChannelsLast(module, images if self._pixels else None).eval()
        with quietly("litert-torch", "TFLite"), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            example = example.permute(0, 2, 3, 1).contiguous()
            litert_torch.convert(network, (example,)).export(str(path))
            return Artifact.single(path.read_bytes())

    def require_quantiser(self) -> None:
        if importlib.util.find_spec("litert_quantizer") is None:
            raise MissingPackage(
                "TFLite in 8 bits of a module of your own needs litert-quantizer: "
                'pip install "hwnas[convert]"'
            )

    def quantised(self, model: bytes, images: NDArray[np.float32]) -> bytes:
        ((signature, tensors),) = load_interpreter(model).get_signature_list().items()
        (source,) = tensors["inputs"]
        fed = [{source: image[None]} for image in images.transpose(0, 2, 3, 1)]
        self.require_quantiser()
        with quietly(self.quantiser, "8-bit TFLite"):
            from litert_quantizer import quantizer, recipe

            rules = [*recipe.static_wi8_ai8(), *(ENDS if self._pixels else ())]
            seen = _extremes(model, rules, {signature: fed})
            work = quantizer.Quantizer(model, rules)
            return bytes(work.quantize(seen, enable_progress_report=False).quantized_model)

    def described(
        self, artifact: Artifact, shape: Shape, images: ImageInput, about: Texts
    ) -> Artifact:
        return Artifact.single(described(artifact.content, shape, images, about))


class _ChannelsLast(nn.Module):
    """A network whose images are (1, H, W, C), as TFLite's own are and its libraries ask for.

    They are normalised before it, or pixels of 0 to 1 that are normalised here.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, network: nn.Module, pixels: ImageInput | None) -> None:
        super().__init__()
        self.network = network
        self.normalised = pixels is None
        if pixels is not None:
            self.register_buffer("mean", torch.tensor(pixels.mean))
            self.register_buffer("scale", 1 / torch.tensor(pixels.std))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the network's scores."""
        if not self.normalised:
            images = (images - self.mean) * self.scale
        scores: torch.Tensor = self.network(images.permute(0, 3, 1, 2))
        return scores


def _litert_torch() -> Any:
    try:
        with quietly("litert-torch", "TFLite"):
            return import_whole("litert_torch")
    except UserError as error:
        cause = error.__cause__
        if not (isinstance(cause, ModuleNotFoundError) and cause.name == "litert_torch"):
            raise
        raise MissingPackage(
            "a torch module of your own becomes TFLite by litert-torch, which is not installed "
            '(1.1 GB): pip install "litert-torch>=0.10"'
        ) from None


def _extremes(model: bytes, rules: Any, fed: Mapping[str, Any]) -> Any:
    """Return the extremes of every value over all inputs.

    `Quantizer.calibrate` keeps a moving average instead: it cuts off what fewer inputs reach, and
    forgets the first ones.
    """
    from litert_quantizer import calibrator, recipe_manager
    from litert_quantizer.utils import qsv_utils

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(rules)
    work = calibrator.Calibrator(
        memoryview(model), num_threads=1, qsv_update_func=qsv_utils.min_max_update
    )
    work.calibrate(fed, manager)
    return work.get_model_qsvs()
