"""What a target's format and runtime have to offer: one door for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights


class Session(Protocol):
    """A loaded model."""

    def run(self) -> None:
        """Run once on an input that stays the same."""

    def elapsed_ms(self) -> float:
        """Return the time of one run in milliseconds, as `measure.elapsed_ms` takes it."""

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, classes) of normalised images (n, C, H, W)."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A runtime that runs on this machine.

    Attributes:
        name: as in `runtime` of a target profile.
        emit: graph and folded weights to a serialised model.
        load: serialised model and number of threads to a session.
        version: the runtime's version; raises MissingPackage when it is not installed.
    """

    name: str
    emit: Callable[[Graph, Weights], bytes]
    load: Callable[[bytes, int], Session]
    version: Callable[[], str]


def local_backend(runtime: str) -> Backend | None:
    """Return the backend that runs `runtime` here, or None when only a device can."""
    if runtime == "onnxruntime":
        from hwnas.targets.onnx import emitter
        from hwnas.targets.onnx import runtime as onnx_runtime

        return Backend(runtime, emitter.emit, onnx_runtime.OnnxRuntime, onnx_runtime.version)
    if runtime == "tflite":
        from hwnas.targets.tflite import emitter as tflite_emitter
        from hwnas.targets.tflite import runtime as litert

        return Backend(runtime, tflite_emitter.emit, litert.LiteRt, litert.version)
    return None
