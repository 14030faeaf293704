"""Graph to an 8-bit TFLite model: int8 from input to output, after TFLite's own scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.targets.shared.quantisation import (
    LEVELS,
    WEIGHT_LIMIT,
    Affine,
    between,
    calibrate,
    integers,
)
from hwnas.targets.tflite.arithmetic import LINEAR, Order
from hwnas.targets.tflite.emitter import emit_with
from hwnas.targets.tflite.model import Model, Scales, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Node, Weights

DEQUANTIZE_VERSION = 2
"""Of DEQUANTIZE from int8."""

SIGNED = 128
"""Between the unsigned integers of `Affine` and int8."""


def emit(
    graph: Graph,
    weights: Weights,
    calibration: NDArray[np.float32] | None = None,
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the serialised model: int8 (1, H, W, C) "input" to int8 "logits".

    Scale and zero point of input and output are in the file, where every runtime finds them.

    Args:
        graph: a whole network, or a part of one.
        weights: folded weights of every convolution and linear node.
        calibration: inputs to quantise by, see `quantisation.calibrate`.
        images: normalisation and labels, written into the metadata.
        metadata: further metadata entries.

    Raises:
        MissingPackage: flatbuffers is not installed.
    """
    return emit_stored(graph, weights, calibrate(graph, weights, calibration), images, metadata)


def emit_stored(
    graph: Graph,
    weights: Weights,
    stored: Mapping[str, Affine],
    images: ImageInput | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    pixels: bool = False,
) -> bytes:
    """Return the same for values that are stored as `quantisation.calibrate` tells.

    With `pixels`, it takes uint8 pixels and gives float32 scores; see `emitter.emit`.
    """
    return emit_with(_Int8(weights, stored), graph, images, metadata, pixels=pixels)


class _Int8:
    """Activations and weights in int8, sums in int32."""

    # XNNPACK leaves it to a plain kernel of LiteRT's, many times slower than three operators are.
    knows_hard_swish = False

    versions: Mapping[str, int] = {
        "ADD": 2,
        "CONCATENATION": 2,
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "FULLY_CONNECTED": 4,
        "MAX_POOL_2D": 2,
        "MEAN": 2,
        "MUL": 2,
        "PAD": 2,
        "PADV2": 2,
        "SLICE": 2,
        "TRANSPOSE": 2,
    }

    def __init__(self, weights: Weights, stored: Mapping[str, Affine]) -> None:
        self._weights = weights
        self._stored = stored

    def scales(self, name: str) -> Scales:
        return _signed(self._stored[name])

    def up_to(self, high: float) -> Scales:
        return _signed(between(0, high))

    def number(self, model: Model, name: str, value: float) -> Tensor:
        whole = np.array([LEVELS - SIGNED], np.int8)
        return model.constant(name, whole, self.up_to(value))

    def lowest(self, model: Model, name: str, stored_as: str) -> Tensor:
        return model.constant(name, np.array([-SIGNED], np.int8), self.scales(stored_as))

    def pixels(self, model: Model, name: str, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Add an input of bytes as images have them, and the same as int8."""
        unit = between(0, 1)
        taken = model.value(name, shape, Scales(np.array([unit.scale]), 0), np.uint8)
        source = model.value(f"{name}.signed", shape, _signed(unit))
        model.operator("QUANTIZE", [taken], source)
        return taken, source

    def colour(self, model: Model, name: str, values: Sequence[float]) -> Tensor:
        whole, scale = in_steps(values)
        return model.constant(name, whole, Scales(np.array([scale], np.float32)))

    def scores(self, model: Model, name: str, source: Tensor, shape: Sequence[int]) -> Tensor:
        result = model.value(name, shape)
        model.operator("DEQUANTIZE", [source], result, DEQUANTIZE_VERSION)
        return result

    def weight_and_bias(self, model: Model, node: Node, order: Order) -> tuple[Tensor, Tensor]:
        """Add both; a linear layer has one scale, since older runtimes know no other."""
        weight, bias = self._weights[node.name]
        source = self._stored[node.inputs[0]].scale
        whole = integers(weight, bias, source, per_channel=order != LINEAR)
        scales = whole.scales[:1] if order == LINEAR else whole.scales
        kernel_scales = Scales(scales, axis=order.index(0))
        kernel = model.constant(f"{node.name}.weight", whole.weight.transpose(order), kernel_scales)
        return kernel, model.constant(f"{node.name}.bias", whole.bias, Scales(source * scales))


def in_steps(values: Sequence[float]) -> tuple[NDArray[np.int8], float]:
    """Return numbers as integers and their unit: as the file holds the mean of the channels."""
    largest = max(map(abs, values))
    scale = largest / WEIGHT_LIMIT if largest else 1.0
    return np.rint(np.array(values) / scale).astype(np.int8), scale


def _signed(stored: Affine) -> Scales:
    return Scales(np.array([stored.scale]), stored.zero_point - SIGNED)
