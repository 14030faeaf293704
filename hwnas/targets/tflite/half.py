"""Graph to a TFLite model with weights in float16 and arithmetic in float32.

TFLite's own scheme: a DEQUANTIZE behind every constant. XNNPACK takes these in when it loads the
file, runtimes without it run them once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.targets.shared.half import half
from hwnas.targets.tflite.arithmetic import Float, Order
from hwnas.targets.tflite.emitter import emit_with

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Node, Weights
    from hwnas.targets.tflite.model import Model, Tensor

DEQUANTIZE_VERSION = 3
"""Of DEQUANTIZE from float16."""


def emit(
    graph: Graph,
    weights: Weights,
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    pixels: bool = False,
) -> bytes:
    """Return the serialised model; see `emitter.emit`.

    Raises:
        MissingPackage: flatbuffers is not installed.
        CheckFailed: a weight is beyond the range of float16.
    """
    return emit_with(_HalfWeights(weights), graph, images, metadata, pixels=pixels)


class _HalfWeights(Float):
    """Values in float32, weights in float16."""

    def weight_and_bias(self, model: Model, node: Node, order: Order) -> tuple[Tensor, Tensor]:
        weight, bias = self._weights[node.name]
        kernel = _constant(model, f"{node.name}.weight", weight.transpose(order))
        return kernel, _constant(model, f"{node.name}.bias", bias)


def _constant(model: Model, name: str, value: NDArray[np.float32]) -> Tensor:
    stored = model.constant(f"{name}.half", half(value, name))
    restored = model.value(name, value.shape)
    model.operator("DEQUANTIZE", [stored], restored, DEQUANTIZE_VERSION)
    return restored
