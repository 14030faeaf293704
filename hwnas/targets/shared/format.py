"""What a deployment format is: what goes into a file, and what is asked of who writes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.targets.shared import quantisation
from hwnas.targets.shared.compute import Rounding, exact
from hwnas.targets.shared.half import halved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Weights
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.interface import Session
    from hwnas.targets.shared.quantisation import Affine

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class Content:
    """What a file is made of.

    Attributes:
        graph: a classifier of images; a network or a part of one where `images` is None.
        weights: folded, of every convolution and linear node.
        images: normalisation and labels; None for a file that is to be timed, from array to array.
        metadata: provenance, texts by name.
        precision: one of `PRECISIONS`.
        stored: how values are stored in 8 bits; needed where `Format.calibrated`.
    """

    graph: Graph
    weights: Weights
    images: ImageInput | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    precision: str = "fp32"
    stored: Mapping[str, Affine] | None = None

    @property
    def of_images(self) -> ImageInput:
        """`images`, of a classifier."""
        if self.images is None:
            raise ValueError("a classifier says how it takes images")
        return self.images

    @property
    def in_8_bits(self) -> Mapping[str, Affine]:
        """`stored`, where it is needed."""
        if self.stored is None:
            raise ValueError("8-bit values need calibration")
        return self.stored


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What a file should compute, beside the rounding of its runtime.

    Attributes:
        weights: as the file holds them.
        rounded: what storing a value does to it; `exact` where values are in float32.
    """

    weights: Weights
    rounded: Rounding = exact


class Format(ABC):
    """One deployment format.

    Attributes:
        name: as in `--format`.
        suffix: of the file.
        precisions: what it takes, the default first.
        calibrated: whether 8 bits hold values as well as weights, which takes calibration images.
        outputs: "logits" or "probabilities".
        executor: who runs the file here.
        fast: whether `execute` is as fast as a runtime, so that a thousand images are no matter.
    """

    name: str
    suffix: str
    precisions: tuple[str, ...] = PRECISIONS
    calibrated: bool
    outputs: str
    executor: str
    fast: bool

    @abstractmethod
    def facts(self, artifact: Artifact) -> dict[str, Any]:
        """Return "target_os", and what else is to be told of the file."""

    def adapted(
        self,
        graph: Graph,  # noqa: ARG002
        weights: Weights,
        images: ImageInput,
        precision: str,  # noqa: ARG002
    ) -> tuple[Weights, ImageInput]:
        """Return weights and normalisation as the file has them inside, before calibration."""
        return weights, images

    @abstractmethod
    def emit(self, content: Content) -> Artifact:
        """Return the model; equal content gives equal bytes."""

    @abstractmethod
    def arithmetic(self, content: Content) -> Arithmetic:
        """Return what the file should compute."""

    @abstractmethod
    def execute(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> NDArray[Any]:
        """Return the outputs (n, classes) for RGB images (n, H, W, 3)."""

    def native(
        self,
        artifact: Artifact,  # noqa: ARG002
        pixels: NDArray[np.uint8],  # noqa: ARG002
        images: ImageInput,  # noqa: ARG002
    ) -> tuple[str, NDArray[Any]] | None:
        """Return who else runs the file on this machine, and its outputs as `execute` gives them.

        None where `execute` is the format's own runtime, or the only one here.

        Raises:
            UserError: it does not run the file.
            MissingPackage: it needs a package that is not installed.
        """
        return None

    def gate(self, artifact: Artifact) -> None:  # noqa: B027 - running the file may be gate enough
        """Raise CheckFailed when the file would not run on what it is for."""

    def slow_paths(self, artifact: Artifact) -> list[str]:  # noqa: ARG002
        """Return a line per reason why the file is slower than it could be, as far as known."""
        return []


class RunHere(Format):
    """A format whose own runtime runs on this machine, on normalised images.

    Attributes:
        system: what it runs on.
        linear_per_channel: whether 8-bit linear layers have one scale per output.
    """

    calibrated = True
    outputs = "logits"
    fast = True
    system: str
    linear_per_channel: bool

    def facts(self, artifact: Artifact) -> dict[str, Any]:  # noqa: ARG002
        """Return "target_os"."""
        return {"target_os": self.system}

    def arithmetic(self, content: Content) -> Arithmetic:
        """Return what the file should compute: half precision is storage."""
        if content.precision == "fp16":
            return Arithmetic(halved(content.weights))
        if content.precision == "fp32":
            return Arithmetic(content.weights)
        graph, stored = content.graph, content.in_8_bits
        weights = quantisation.dequantised(
            graph, content.weights, stored, linear_per_channel=self.linear_per_channel
        )
        return Arithmetic(weights, quantisation.rounding(stored))

    def execute(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> NDArray[Any]:
        """Return the logits (n, classes) for RGB images (n, H, W, 3)."""
        return self.load(artifact.content).predict(normalised(pixels, images))

    @abstractmethod
    def load(self, model: bytes) -> Session:
        """Return the file in its runtime."""


def normalised(pixels: NDArray[np.uint8], images: ImageInput) -> NDArray[np.float32]:
    """Return pixels (n, H, W, 3) as a network takes them: float32 (n, 3, H, W)."""
    values = (pixels / 255.0 - np.array(images.mean)) / np.array(images.std)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)
