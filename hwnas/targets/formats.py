"""Deployment formats: what is written, what it should compute, and who runs it here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hwnas.errors import one_of
from hwnas.targets import quantisation
from hwnas.targets.artifact import Artifact
from hwnas.targets.compute import Rounding, exact
from hwnas.targets.half import halved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Weights
    from hwnas.targets.backend import Session
    from hwnas.targets.quantisation import Affine

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
        resolution: relative, of the outputs themselves.
    """

    weights: Weights
    rounded: Rounding = exact
    resolution: float = 0.0


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

    def emit(self, content: Content) -> Artifact:
        """Return the model; equal content gives equal bytes."""

    def arithmetic(self, content: Content) -> Arithmetic:
        """Return what the file should compute."""

    def execute(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> NDArray[Any]:
        """Return the outputs (n, classes) for RGB images (n, H, W, 3)."""

    def gate(self, artifact: Artifact) -> None:
        """Raise CheckFailed when the file would not run on what it is for."""

    def slow_paths(self, artifact: Artifact) -> list[str]:
        """Return a line per reason why the file is slower than it could be, as far as known."""


def find_format(name: str) -> Format:
    """Return a format by name.

    Raises:
        UserError: unknown name.
        MissingPackage: its packages are not installed.
    """
    makers: dict[str, Callable[[], Format]] = {
        "onnx": _onnx,
        "tflite": _tflite,
        "coreml": _coreml,
        "mlprogram": _mlprogram,
    }
    if name not in makers:
        raise one_of("format", name, list(FORMATS))
    return makers[name]()


def check_precision(form: Format, precision: str | None) -> str:
    """Return the precision, or the format's default for None.

    Raises:
        UserError: the format does not take it.
    """
    if precision is None:
        return form.precisions[0]
    if precision not in form.precisions:
        raise one_of(f"precision of {form.name}", precision, list(form.precisions))
    return precision


def normalised(pixels: NDArray[np.uint8], images: ImageInput) -> NDArray[np.float32]:
    """Return pixels (n, H, W, 3) as a network takes them: float32 (n, 3, H, W)."""
    values = (pixels / 255.0 - np.array(images.mean)) / np.array(images.std)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)


# ONNX and TFLite: their runtimes run here, and take normalised images -------------------------


@dataclass(frozen=True, slots=True)
class _RunHere:
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

    def gate(self, artifact: Artifact) -> None:
        """Pass: loading the file for the parity check is what shows that it runs."""

    def slow_paths(self, artifact: Artifact) -> list[str]:
        return self.find_slow_paths(artifact.content)


def _stored(content: Content) -> Mapping[str, Affine]:
    if content.stored is None:
        raise ValueError("8-bit values need calibration")
    return content.stored


def _onnx() -> Format:
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


def _tflite() -> Format:
    from hwnas.targets.tflite import emitter, half, int8, runtime, slow_paths

    return _RunHere(
        name="tflite",
        system="any with LiteRT, or TensorFlow Lite 2.14",
        executor=f"LiteRT {runtime.version()}",
        emitters={
            "fp32": lambda c: emitter.emit(c.graph, c.weights, c.images, c.metadata),
            "fp16": lambda c: half.emit(c.graph, c.weights, c.images, c.metadata),
            "int8": lambda c: int8.emit_stored(
                c.graph, c.weights, _stored(c), c.images, c.metadata
            ),
        },
        load=runtime.LiteRt,
        linear_per_channel=False,
        find_slow_paths=slow_paths.slow_paths,
    )


# Core ML ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _NeuralNetwork:
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

    def gate(self, artifact: Artifact) -> None:
        from hwnas.targets.apple import versions

        versions.check_ios12(artifact.content)

    def slow_paths(self, artifact: Artifact) -> list[str]:
        from hwnas.targets.coreml import slow_paths

        return slow_paths.slow_paths(artifact.content)


def _coreml() -> Format:
    from hwnas.targets.apple import require

    require("proto.Model_pb2")
    return _NeuralNetwork()


@dataclass(frozen=True, slots=True)
class _MlProgram:
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
        return Arithmetic(weights, storage.rounded, storage.RESOLUTION)

    def execute(
        self,
        artifact: Artifact,
        pixels: NDArray[np.uint8],
        images: ImageInput,  # noqa: ARG002
    ) -> NDArray[Any]:
        from hwnas.targets.mlprogram import executor

        return executor.probabilities(artifact, pixels)

    def gate(self, artifact: Artifact) -> None:
        from hwnas.targets.apple import versions
        from hwnas.targets.mlprogram.package import MODEL

        versions.check_stated(artifact.files[MODEL])

    def slow_paths(self, artifact: Artifact) -> list[str]:  # noqa: ARG002
        return []  # nobody says on good grounds what keeps an ML Program off the Neural Engine


def _mlprogram() -> Format:
    from hwnas.targets.apple import require

    require("proto.Model_pb2")
    return _MlProgram()
