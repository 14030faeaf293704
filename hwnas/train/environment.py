"""What networks are trained with: the device, its precision, the software."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from hwnas import __version__
from hwnas.device import describe_host

if TYPE_CHECKING:
    import torch


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the CPU."""
    if device.type != "cuda":
        return describe_host()["cpu"]
    import torch

    return torch.cuda.get_device_name(device)


def precision(device: torch.device) -> str:
    """Return what networks are computed in; weights are kept in fp32 everywhere."""
    return "bf16" if device.type == "cuda" else "fp32"


def versions(device: torch.device | None = None) -> dict[str, str]:
    """Return what software trains on a device; None: nothing is trained, torch has no part."""
    found = {"hwnas": __version__, "python": platform.python_version()}
    if device is None:
        return found
    import torch

    found["torch"] = str(torch.__version__)
    return {**found, "cuda": str(torch.version.cuda)} if device.type == "cuda" else found
