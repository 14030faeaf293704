"""What a target's format and runtime have to offer: one door for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights
    from hwnas.targets.shared.interface import Interface


class Session(Protocol):
    """A loaded model."""

    interface: Interface

    def run(self) -> None:
        """Run once on an input that stays the same."""

    def elapsed_ms(self) -> float:
        """Return the time of one run in milliseconds, as `measure.elapsed_ms` takes it."""

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, classes) of normalised images (n, C, H, W)."""

    def respond(self, stored: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the output for an input, both as the file stores them: its order, its type."""


class Emit(Protocol):
    """Turns a graph with folded weights into a serialised model."""

    def __call__(
        self, graph: Graph, weights: Weights, calibration: NDArray[np.float32] | None = None, /
    ) -> bytes:
        """Return the model.

        Args:
            graph: a whole network, or a part of one.
            weights: folded weights.
            calibration: normalised inputs (n, C, H, W) that an 8-bit model is quantised by; without
                them its values are good for timing only.
        """


@dataclass(frozen=True, slots=True)
class Backend:
    """A runtime that runs on this machine.

    Attributes:
        name: as in `runtime` of a target profile.
        precision: as in `precision` of a target profile.
        form: the format that it runs, as in `--format`.
        emit: graph and folded weights to a serialised model.
        load: serialised model and number of threads to a session.
        version: the runtime's version; raises MissingPackage when it is not installed.
    """

    name: str
    precision: str
    form: str
    emit: Emit
    load: Callable[[bytes, int], Session]
    version: Callable[[], str]


def local_backend(
    runtime: str, precision: str = "fp32", python: str | None = None
) -> Backend | None:
    """Return the backend that runs `runtime` here, or None when only a device can.

    Args:
        runtime: as in a target profile.
        precision: the same.
        python: the same, for a runtime that needs an environment of its own.
    """
    match runtime, precision:
        case "onnxruntime", "fp32" | "int8":
            return _onnx(precision)
        case "tflite", "fp32" | "int8":
            return _tflite(precision)
        case "tflite-runtime", "fp32" | "int8":
            return _tflite_runtime(precision, python)
        case _:
            return None


def _onnx(precision: str) -> Backend:
    from hwnas.targets.onnx import emitter, int8, runtime

    emit: Emit = int8.emit if precision == "int8" else _uncalibrated(emitter.emit)
    return Backend("onnxruntime", precision, "onnx", emit, runtime.OnnxRuntime, runtime.version)


def _tflite(precision: str) -> Backend:
    from hwnas.targets.tflite import runtime

    emit = _tflite_emit(precision)
    return Backend("tflite", precision, "tflite", emit, runtime.LiteRt, runtime.version)


def _tflite_runtime(precision: str, python: str | None) -> Backend:
    from hwnas.targets.tflite.remote import RemoteRuntime

    remote, emit = RemoteRuntime(python), _tflite_emit(precision)
    return Backend("tflite-runtime", precision, "tflite", emit, remote.load, remote.version)


def _tflite_emit(precision: str) -> Emit:
    from hwnas.targets.tflite import emitter, int8

    return int8.emit if precision == "int8" else _uncalibrated(emitter.emit)


def _uncalibrated(emit: Callable[[Graph, Weights], bytes]) -> Emit:
    """Return a float emitter that takes, and does not need, a calibration batch."""
    return lambda graph, weights, _calibration=None: emit(graph, weights)
