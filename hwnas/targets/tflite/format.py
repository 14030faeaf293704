"""TFLite as a format: its files, and LiteRT, which runs them here."""
# ruff: noqa: D102 - `Format` says what each of these is for

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import Content, RunHere
from hwnas.targets.tflite import emitter, runtime, slow_paths
from hwnas.targets.tflite.pixels import adapted, as_taken

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Weights


class TfLite(RunHere):
    """TFLite; making one raises MissingPackage."""

    name, suffix = "tflite", ".tflite"
    system = "any with LiteRT, or TensorFlow Lite 2.14"
    linear_per_channel = False

    def __init__(self) -> None:
        self.executor = f"LiteRT {runtime.version()}"

    def emit(self, content: Content) -> Artifact:
        return Artifact.single(emitter.emit(content))

    def load(self, model: bytes) -> runtime.LiteRt:
        return runtime.LiteRt(model)

    def slow_paths(self, artifact: Artifact) -> list[str]:
        return slow_paths.slow_paths(artifact.content)


class TfLiteOfPixels(TfLite):
    """Files that normalise by themselves, as MediaPipe takes them."""

    def facts(self, artifact: Artifact) -> dict[str, Any]:
        return {**super().facts(artifact), "mediapipe": True}

    def adapted(
        self, graph: Graph, weights: Weights, images: ImageInput, precision: str
    ) -> tuple[Weights, ImageInput]:
        return adapted(graph, weights, images, precision)

    def emit(self, content: Content) -> Artifact:
        return Artifact.single(emitter.emit(content, pixels=True))

    def execute(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> NDArray[Any]:
        return super().execute(artifact, pixels, as_taken(images))
