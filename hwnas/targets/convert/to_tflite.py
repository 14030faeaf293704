"""torch module to TFLite by litert-torch, which is large and therefore optional."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hwnas.errors import MissingPackage, UserError
from hwnas.targets.shared.imports import import_whole
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    from hwnas.graph import ImageInput


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


def to_tflite(module: nn.Module, example: torch.Tensor, pixels: ImageInput | None = None) -> bytes:
    """Return the serialised model: float32 (1, H, W, C) to the module's scores.

    Args:
        module: in evaluation mode.
        example: one input (1, C, H, W).
        pixels: how pixels of 0 to 1 are normalised in the file, or None: they are before it.

    Raises:
        MissingPackage: litert-torch is not installed.
        UserError: the converter does not take the module.
    """
    litert_torch = _litert_torch()
    network, images = _ChannelsLast(module, pixels), example.permute(0, 2, 3, 1).contiguous()
    with quietly("litert-torch", "TFLite"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        litert_torch.convert(network.eval(), (images,)).export(str(path))
        return path.read_bytes()


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
