"""What a deployment format is: what goes into a file, and what is asked of who writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hwnas.targets.shared.compute import Rounding, exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Weights
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.quantisation import Affine

FORMATS = ("onnx", "tflite", "coreml", "mlprogram")
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class Content:
    """What a file is made of.

    Attributes:
        graph: a classifier of images.
        weights: folded.
        images: normalisation and labels.
        metadata: provenance, texts by name.
        precision: one of `PRECISIONS`.
        stored: how values are stored in 8 bits; needed where `Format.calibrated`.
    """

    graph: Graph
    weights: Weights
    images: ImageInput
    metadata: Mapping[str, str]
    precision: str = "fp32"
    stored: Mapping[str, Affine] | None = None


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What a file should compute, beside the rounding of its runtime.

    Attributes:
        weights: as the file holds them.
        rounded: what storing a value does to it; `exact` where values are in float32.
    """

    weights: Weights
    rounded: Rounding = exact


class Format(Protocol):
    """One deployment format."""

    @property
    def name(self) -> str:
        """As in `--format`."""

    @property
    def suffix(self) -> str:
        """Of the file."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """What it takes, the default first."""

    @property
    def calibrated(self) -> bool:
        """Whether 8 bits hold values as well as weights, which takes calibration images."""

    @property
    def outputs(self) -> str:
        """Return "logits" or "probabilities"."""

    @property
    def executor(self) -> str:
        """Who runs the file here."""

    @property
    def fast(self) -> bool:
        """Whether `execute` is as fast as a runtime, so that a thousand images are no matter."""

    def facts(self, artifact: Artifact) -> dict[str, Any]:
        """Return "target_os", and what else is to be told of the file."""

    def adapted(
        self, graph: Graph, weights: Weights, images: ImageInput, precision: str
    ) -> tuple[Weights, ImageInput]:
        """Return weights and normalisation as the file has them inside, before calibration."""

    def emit(self, content: Content) -> Artifact:
        """Return the model; equal content gives equal bytes."""

    def arithmetic(self, content: Content) -> Arithmetic:
        """Return what the file should compute."""

    def execute(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> NDArray[Any]:
        """Return the outputs (n, classes) for RGB images (n, H, W, 3)."""

    def native(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> tuple[str, NDArray[Any]] | None:
        """Return who else runs the file on this machine, and its outputs as `execute` gives them.

        None where `execute` is the format's own runtime, or the only one here.

        Raises:
            UserError: it does not run the file.
            MissingPackage: it needs a package that is not installed.
        """

    def gate(self, artifact: Artifact) -> None:
        """Raise CheckFailed when the file would not run on what it is for."""

    def slow_paths(self, artifact: Artifact) -> list[str]:
        """Return a line per reason why the file is slower than it could be, as far as known."""


class Unadapted:
    """Part of a format whose files have weights and normalisation of the network itself inside."""

    __slots__ = ()

    def adapted(
        self,
        graph: Graph,  # noqa: ARG002
        weights: Weights,
        images: ImageInput,
        precision: str,  # noqa: ARG002
    ) -> tuple[Weights, ImageInput]:
        """Return them as they are."""
        return weights, images


def normalised(pixels: NDArray[np.uint8], images: ImageInput) -> NDArray[np.float32]:
    """Return pixels (n, H, W, 3) as a network takes them: float32 (n, 3, H, W)."""
    values = (pixels / 255.0 - np.array(images.mean)) / np.array(images.std)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)
