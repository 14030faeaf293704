"""What a full training came to, and where."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hwnas import __version__
from hwnas.device import describe_host

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What full training came to, on all "final" images (teachers: on some of "search").

    Attributes:
        accuracy: share of images classified correctly.
        accuracy_stderr: its standard error.
        cross_entropy: nats per image.
        cross_entropy_stderr: its standard error.
        validation: number of held-out images.
        images: images trained on.
        seconds: training time over all runs, interruptions left out.
        device: where the last part was trained.
        top5: share of images whose class is among the five likeliest; None with up to five classes.
        epochs: passes over the training images.
        best: the epoch whose network was best on other held-out images, as in the curve.
        confused: the classes most often taken for others, on the same images.
        device_name: of the GPU or the CPU.
        precision: "bf16" or "fp32".
        processes: that trained together in the last part.
        versions: of hwnas, torch, Python and CUDA in the last part.
    """

    accuracy: float
    accuracy_stderr: float
    cross_entropy: float
    cross_entropy_stderr: float
    validation: int
    images: int
    seconds: float
    device: str
    top5: float | None = None
    epochs: int | None = None
    best: dict[str, Any] | None = None
    confused: list[dict[str, Any]] = field(default_factory=list)
    device_name: str | None = None
    precision: str | None = None
    processes: int = 1
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return all values."""
        return asdict(self)


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
