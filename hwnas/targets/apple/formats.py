"""Core ML's two formats, run by hwnas's executors: Core ML itself runs on Apple devices only."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.targets.apple import require
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import PRECISIONS, Arithmetic, Content, Format, Unadapted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import ImageInput


def _native(
    suffix: str, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
) -> tuple[str, NDArray[Any]] | None:
    """Return what Core ML itself gives, on a Mac; elsewhere its module is not even imported."""
    if platform.system() != "Darwin":
        return None
    from hwnas.targets.apple import native

    return native.NAME, native.probabilities(artifact, suffix, pixels, images.labels)


@dataclass(frozen=True, slots=True)
class _NeuralNetwork(Unadapted):
    """Core ML's older format, for iPhones up to iOS 12 and later."""

    name: str = "coreml"
    suffix: str = ".mlmodel"
    precisions: tuple[str, ...] = PRECISIONS
    calibrated: bool = False
    outputs: str = "probabilities"
    fast: bool = False
    executor: str = "hwnas's executor of the NeuralNetwork specification"

    def facts(self, artifact: Artifact) -> dict[str, Any]:
        from hwnas.targets.apple import releases, versions

        version = versions.required_version(artifact.content)
        system = f"iOS {releases.RELEASES[version]} and later (checked against iOS 12)"
        return {"target_os": system, "specification_version": version}

    def emit(self, content: Content) -> Artifact:
        from hwnas.targets.coreml import emitter

        c = content
        return Artifact.single(emitter.emit(c.graph, c.weights, c.images, c.metadata, c.precision))

    def arithmetic(self, content: Content) -> Arithmetic:
        from hwnas.targets.coreml import emitter

        c = content
        return Arithmetic(emitter.as_stored(c.graph, c.weights, c.images, c.precision))

    def execute(
        self,
        artifact: Artifact,
        pixels: NDArray[np.uint8],
        images: ImageInput,  # noqa: ARG002
    ) -> NDArray[Any]:
        from hwnas.targets.coreml import executor

        return executor.probabilities(artifact.content, pixels)

    def native(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> tuple[str, NDArray[Any]] | None:
        return _native(self.suffix, artifact, pixels, images)

    def gate(self, artifact: Artifact) -> None:
        from hwnas.targets.apple import versions

        versions.check_ios12(artifact.content)

    def slow_paths(self, artifact: Artifact) -> list[str]:
        from hwnas.targets.coreml import slow_paths

        return slow_paths.slow_paths(artifact.content)


def neural_network() -> Format:
    """Return the neural network of a .mlmodel file; raises MissingPackage."""
    require("proto.Model_pb2")
    return _NeuralNetwork()


@dataclass(frozen=True, slots=True)
class _MlProgram(Unadapted):
    """Core ML's format for iOS 15 and later; a folder."""

    name: str = "mlprogram"
    suffix: str = ".mlpackage"
    precisions: tuple[str, ...] = ("fp16", "fp32", "int8")
    calibrated: bool = False
    outputs: str = "probabilities"
    fast: bool = False
    executor: str = "hwnas's executor of ML Programs"

    def facts(self, artifact: Artifact) -> dict[str, Any]:
        from hwnas.targets.apple import releases, versions
        from hwnas.targets.mlprogram.package import MODEL

        version = versions.required_version(artifact.files[MODEL])
        system = f"iOS {releases.RELEASES[version]} and later"
        return {"target_os": system, "specification_version": version}

    def emit(self, content: Content) -> Artifact:
        from hwnas.targets.mlprogram import emitter

        c = content
        return emitter.emit(c.graph, c.weights, c.images, c.metadata, c.precision)

    def arithmetic(self, content: Content) -> Arithmetic:
        from hwnas.targets.mlprogram import storage

        c = content
        weights = storage.as_stored(c.graph, c.weights, c.images, c.precision)
        if c.precision == "fp32":
            return Arithmetic(weights)
        return Arithmetic(weights, storage.rounded)

    def execute(
        self,
        artifact: Artifact,
        pixels: NDArray[np.uint8],
        images: ImageInput,  # noqa: ARG002
    ) -> NDArray[Any]:
        from hwnas.targets.mlprogram import executor

        return executor.probabilities(artifact, pixels)

    def native(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> tuple[str, NDArray[Any]] | None:
        return _native(self.suffix, artifact, pixels, images)

    def gate(self, artifact: Artifact) -> None:
        from hwnas.targets.apple import versions
        from hwnas.targets.mlprogram.package import MODEL

        versions.check_stated(artifact.files[MODEL])

    def slow_paths(self, artifact: Artifact) -> list[str]:  # noqa: ARG002
        return []  # nobody says on good grounds what keeps an ML Program off the Neural Engine


def ml_program() -> Format:
    """Return the ML Program of a .mlpackage folder; raises MissingPackage."""
    require("proto.Model_pb2")
    return _MlProgram()
