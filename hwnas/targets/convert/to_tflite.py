"""torch module to TFLite by litert-torch, which is large and therefore optional."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import MissingPackage
from hwnas.targets.quiet import quietly

if TYPE_CHECKING:
    import torch
    from torch import nn


def to_tflite(module: nn.Module, example: torch.Tensor) -> bytes:
    """Return the serialised model; its input is (1, C, H, W), as the module's.

    Args:
        module: in evaluation mode.
        example: one input (1, C, H, W).

    Raises:
        MissingPackage: litert-torch is not installed.
        UserError: the converter does not take the module.
    """
    try:
        with quietly("litert-torch", "TFLite"):
            import litert_torch
    except Exception as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        raise MissingPackage(
            "a torch module of your own becomes TFLite by litert-torch, which is not installed "
            '(1.1 GB): pip install "litert-torch>=0.10"'
        ) from None
    with quietly("litert-torch", "TFLite"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        litert_torch.convert(module, (example,)).export(str(path))
        return path.read_bytes()
