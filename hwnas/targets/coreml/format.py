"""Core ML's older format: a neural network, for iPhones up to iOS 12 and later."""
# ruff: noqa: D102 - `Format` and `CoreMl` say what each of these is for

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.targets.apple import versions
from hwnas.targets.apple.format import CoreMl
from hwnas.targets.coreml import emitter, executor
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import Arithmetic, Content
from hwnas.targets.shared.interface import Interface

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput


class NeuralNetwork(CoreMl):
    """A .mlmodel file."""

    name, suffix = "coreml", ".mlmodel"
    executor = "hwnas's executor of the NeuralNetwork specification"
    checked = " (checked against iOS 12)"

    def emit(self, content: Content) -> Artifact:
        return Artifact.single(emitter.emit(content))

    def arithmetic(self, content: Content) -> Arithmetic:
        return Arithmetic(emitter.as_stored(content))

    def execute(
        self,
        artifact: Artifact,
        pixels: NDArray[np.uint8],
        images: ImageInput,  # noqa: ARG002
    ) -> NDArray[Any]:
        return executor.probabilities(artifact.content, pixels)

    def gate(self, artifact: Artifact) -> None:
        versions.check_ios12(artifact.content)

    def specification(self, artifact: Artifact) -> bytes:
        return artifact.content

    def interface(self, graph: Graph) -> Interface:
        return Interface(graph.input_shape, graph.output.shape, "float32", "float32")

    def run(self, artifact: Artifact, values: NDArray[Any]) -> NDArray[np.float32]:
        return executor.run(artifact.content, values[None])
