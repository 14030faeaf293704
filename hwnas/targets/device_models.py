"""Models to be timed by a runtime that runs on devices only, and what these should give.

Arrays in and arrays out: no image to decode, no labels to look up, and nothing but the network in
a time. What such a model gives is told by hwnas's executors, which read the finished file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.interface import Interface

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights


@dataclass(frozen=True, slots=True)
class DeviceModels:
    """Models of one format and precision.

    Attributes:
        form: the format, as in `--format`.
        suffix: of the file or folder.
        precision: as in a profile.
        emit: graph and folded weights to a model.
        interface: what a graph's model reads and writes.
        run: model and input, as the file declares it, to the values of its output.
    """

    form: str
    suffix: str
    precision: str
    emit: Callable[[Graph, Weights], Artifact]
    interface: Callable[[Graph], Interface]
    run: Callable[[Artifact, NDArray[Any]], NDArray[np.float32]]

    def execute(
        self, graph: Graph, artifact: Artifact, values: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Return the output of a graph's model for an input, both as the file declares them."""
        return self.run(artifact, values).reshape(self.interface(graph).output_shape)


def device_models(runtime: str, form: str, precision: str) -> DeviceModels | None:
    """Return what is written for a runtime, or None where hwnas writes nothing for it.

    Args:
        runtime: as in a profile.
        form: its `export_format`.
        precision: "fp32", "fp16" or "int8".
    """
    match runtime, form:
        case "coreml", "coreml":
            return _neural_networks(precision)
        case "coreml", "mlprogram":
            return _ml_programs(precision)
        case _:
            return None


def _neural_networks(precision: str) -> DeviceModels:
    from hwnas.targets.coreml import emitter, executor

    def emit(graph: Graph, weights: Weights) -> Artifact:
        return Artifact.single(emitter.emit_part(graph, weights, {}, precision))

    def interface(graph: Graph) -> Interface:
        return Interface(graph.input_shape, graph.output.shape, "float32", "float32")

    def run(artifact: Artifact, values: NDArray[Any]) -> NDArray[np.float32]:
        return executor.run(artifact.content, values[None])

    return DeviceModels("coreml", ".mlmodel", precision, emit, interface, run)


def _ml_programs(precision: str) -> DeviceModels:
    from hwnas.targets.mlprogram import emitter, executor

    def emit(graph: Graph, weights: Weights) -> Artifact:
        # Arrays in float32, as iOS 15 has no others.
        return emitter.emit_part(graph, weights, {}, precision)

    def interface(graph: Graph) -> Interface:
        return Interface((1, *graph.input_shape), (1, *graph.output.shape), "float32", "float32")

    return DeviceModels("mlprogram", ".mlpackage", precision, emit, interface, executor.run)
