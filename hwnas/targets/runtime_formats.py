"""ONNX and TFLite: formats whose own runtimes run on this machine, on normalised images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.targets.shared import quantisation
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import (
    PRECISIONS,
    Arithmetic,
    Content,
    Format,
    Unadapted,
    normalised,
)
from hwnas.targets.shared.half import halved
from hwnas.targets.tflite.pixels import adapted, as_taken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Weights
    from hwnas.targets.backend import Session
    from hwnas.targets.shared.quantisation import Affine


@dataclass(frozen=True, slots=True)
class _RunHere(Unadapted):
    """A format whose own runtime runs on this machine.

    Attributes:
        emitters: by precision.
        load: file to session.
        linear_per_channel: whether 8-bit linear layers have one scale per output.
        system: what it runs on.
    """

    name: str
    system: str
    executor: str
    emitters: Mapping[str, Callable[[Content], bytes]]
    load: Callable[[bytes], Session]
    linear_per_channel: bool
    find_slow_paths: Callable[[bytes], list[str]]
    precisions: tuple[str, ...] = PRECISIONS
    calibrated: bool = True
    outputs: str = "logits"
    fast: bool = True

    @property
    def suffix(self) -> str:
        return f".{self.name}"

    def facts(self, artifact: Artifact) -> dict[str, Any]:  # noqa: ARG002
        return {"target_os": self.system}

    def emit(self, content: Content) -> Artifact:
        return Artifact.single(self.emitters[content.precision](content))

    def arithmetic(self, content: Content) -> Arithmetic:
        if content.precision == "fp16":
            return Arithmetic(halved(content.weights))
        if content.precision == "fp32":
            return Arithmetic(content.weights)
        stored = _stored(content)
        weights = quantisation.dequantised(
            content.graph, content.weights, stored, linear_per_channel=self.linear_per_channel
        )
        return Arithmetic(weights, quantisation.rounding(stored))

    def execute(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> NDArray[Any]:
        return self.load(artifact.content).predict(normalised(pixels, images))

    def native(
        self,
        artifact: Artifact,  # noqa: ARG002
        pixels: NDArray[np.uint8],  # noqa: ARG002
        images: ImageInput,  # noqa: ARG002
    ) -> tuple[str, NDArray[Any]] | None:
        return None

    def gate(self, artifact: Artifact) -> None:
        """Pass: loading the file for the parity check is what shows that it runs."""

    def slow_paths(self, artifact: Artifact) -> list[str]:
        return self.find_slow_paths(artifact.content)


class _TakesPixels(_RunHere):
    """A format whose files normalise by themselves, as MediaPipe takes them."""

    __slots__ = ()

    def facts(self, artifact: Artifact) -> dict[str, Any]:
        return {**super().facts(artifact), "mediapipe": True}

    def adapted(
        self, graph: Graph, weights: Weights, images: ImageInput, precision: str
    ) -> tuple[Weights, ImageInput]:
        return adapted(graph, weights, images, precision)

    def execute(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> NDArray[Any]:
        return super().execute(artifact, pixels, as_taken(images))


def _stored(content: Content) -> Mapping[str, Affine]:
    if content.stored is None:
        raise ValueError("8-bit values need calibration")
    return content.stored


def onnx() -> Format:
    """Return ONNX; raises MissingPackage."""
    from hwnas.targets.onnx import emitter, int8, runtime, slow_paths

    def floats(content: Content, *, half_weights: bool) -> bytes:
        c = content
        return emitter.emit(c.graph, c.weights, c.images, c.metadata, half_weights=half_weights)

    def whole(content: Content) -> bytes:
        c = content
        return int8.emit_stored(c.graph, c.weights, _stored(c), c.images, c.metadata)

    return _RunHere(
        name="onnx",
        system="any with ONNX Runtime",
        executor=f"ONNX Runtime {runtime.version()}",
        emitters={
            "fp32": lambda content: floats(content, half_weights=False),
            "fp16": lambda content: floats(content, half_weights=True),
            "int8": whole,
        },
        load=runtime.OnnxRuntime,
        linear_per_channel=True,
        find_slow_paths=slow_paths.slow_paths,
    )


def tflite(*, pixels: bool = False) -> Format:
    """Return TFLite; raises MissingPackage.

    Args:
        pixels: with normalisation in the file, as MediaPipe takes it.
    """
    from hwnas.targets.tflite import emitter, half, int8, runtime, slow_paths

    kind = _TakesPixels if pixels else _RunHere
    return kind(
        name="tflite",
        system="any with LiteRT, or TensorFlow Lite 2.14",
        executor=f"LiteRT {runtime.version()}",
        emitters={
            "fp32": lambda c: emitter.emit(c.graph, c.weights, c.images, c.metadata, pixels=pixels),
            "fp16": lambda c: half.emit(c.graph, c.weights, c.images, c.metadata, pixels=pixels),
            "int8": lambda c: int8.emit_stored(
                c.graph, c.weights, _stored(c), c.images, c.metadata, pixels=pixels
            ),
        },
        load=runtime.LiteRt,
        linear_per_channel=False,
        find_slow_paths=slow_paths.slow_paths,
    )
