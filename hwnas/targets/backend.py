"""Runtimes by name: the other door, for what is timed, here or on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.targets.shared.format import Content
from hwnas.targets.shared.quantisation import calibrate

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.device import DeviceProfile
    from hwnas.graph import Graph, Weights
    from hwnas.targets.apple.format import CoreMl
    from hwnas.targets.shared.interface import Session


@dataclass(frozen=True, slots=True)
class Backend:
    """A runtime that runs on this machine.

    Attributes:
        name: as in `runtime` of a target profile.
        precision: as in `precision` of a target profile.
        form: the format that it runs, as in `--format`.
        emitter: of that format.
        load: serialised model and number of threads to a session.
        version: the runtime's version; raises MissingPackage when it is not installed.
    """

    name: str
    precision: str
    form: str
    emitter: Callable[[Content], bytes]
    load: Callable[[bytes, int], Session]
    version: Callable[[], str]

    def emit(
        self, graph: Graph, weights: Weights, calibration: NDArray[np.float32] | None = None
    ) -> bytes:
        """Return a serialised model.

        Args:
            graph: a whole network, or a part of one.
            weights: folded weights.
            calibration: normalised inputs (n, C, H, W) that an 8-bit model is quantised by; without
                them its values are good for timing only.
        """
        whole = self.precision == "int8"
        stored = calibrate(graph, weights, calibration) if whole else None
        return self.emitter(Content(graph, weights, precision=self.precision, stored=stored))


def backend_here(profile: DeviceProfile) -> Backend | None:
    """Return the backend that runs a target on this machine, or None when only a device can."""
    if not profile.local:
        return None
    return local_backend(profile.runtime, profile.precision, profile.python)


def local_backend(
    runtime: str, precision: str = "fp32", python: str | None = None
) -> Backend | None:
    """Return the backend that runs `runtime` here, or None when only a device can.

    Args:
        runtime: as in a target profile.
        precision: the same.
        python: the same, for a runtime that needs an environment of its own.
    """
    if precision not in {"fp32", "int8"}:
        return None
    match runtime:
        case "onnxruntime":
            from hwnas.targets.onnx.emitter import emit as onnx
            from hwnas.targets.onnx.runtime import OnnxRuntime, version

            return Backend(runtime, precision, "onnx", onnx, OnnxRuntime, version)
        case "tflite":
            from hwnas.targets.tflite.emitter import emit
            from hwnas.targets.tflite.runtime import LiteRt, version

            return Backend(runtime, precision, "tflite", emit, LiteRt, version)
        case "tflite-runtime":
            from hwnas.targets.tflite.emitter import emit
            from hwnas.targets.tflite.remote import RemoteRuntime

            remote = RemoteRuntime(python)
            return Backend(runtime, precision, "tflite", emit, remote.load, remote.version)
    return None


def device_format(runtime: str, form: str) -> CoreMl | None:
    """Return what writes for a runtime that runs on devices only, or None where nothing here does.

    Its models are timed from array to array: no image to decode, no labels to look up. What such a
    model gives is told by hwnas's executors, which read the finished file.

    Args:
        runtime: as in a profile.
        form: its `export_format`.
    """
    match runtime, form:
        case "coreml", "coreml":
            from hwnas.targets.coreml.format import NeuralNetwork

            return NeuralNetwork()
        case "coreml", "mlprogram":
            from hwnas.targets.mlprogram.format import MlProgram

            return MlProgram()
    return None
