"""Core ML's format for iOS 15 and later: an ML Program, a folder."""
# ruff: noqa: D102 - `Format` and `CoreMl` say what each of these is for

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.targets.apple import versions
from hwnas.targets.apple.format import CoreMl
from hwnas.targets.mlprogram import emitter, executor, storage
from hwnas.targets.mlprogram.package import MODEL
from hwnas.targets.shared.format import Arithmetic, Content
from hwnas.targets.shared.half import rounded
from hwnas.targets.shared.interface import Interface

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput
    from hwnas.targets.shared.artifact import Artifact


class MlProgram(CoreMl):
    """A .mlpackage folder. Nobody says on good grounds what keeps it off the Neural Engine."""

    name, suffix = "mlprogram", ".mlpackage"
    precisions = ("fp16", "fp32", "int8")
    executor = "hwnas's executor of ML Programs"

    def emit(self, content: Content) -> Artifact:
        return emitter.emit(content)

    def arithmetic(self, content: Content) -> Arithmetic:
        weights = storage.as_stored(content)
        if content.precision == "fp32":
            return Arithmetic(weights)
        return Arithmetic(weights, lambda _, value: rounded(value))

    def execute(
        self,
        artifact: Artifact,
        pixels: NDArray[np.uint8],
        images: ImageInput,  # noqa: ARG002
    ) -> NDArray[Any]:
        return executor.probabilities(artifact, pixels)

    def gate(self, artifact: Artifact) -> None:
        versions.check_stated(artifact.files[MODEL])

    def specification(self, artifact: Artifact) -> bytes:
        return artifact.files[MODEL]

    def interface(self, graph: Graph) -> Interface:
        return Interface((1, *graph.input_shape), (1, *graph.output.shape), "float32", "float32")

    def run(self, artifact: Artifact, values: NDArray[Any]) -> NDArray[np.float32]:
        return executor.run(artifact, values)
