"""Weights of a Core ML neural network in 16 or 8 bits; the arithmetic stays the device's own.

float16 needs specification version 2, 8 bits need 3 (iOS 12). 8 bits are symmetric around zero
with one scale per output channel, as unsigned integers: value = scale * integer - 128 * scale.
Biases stay in float32, where Core ML has no scale for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.targets.shared.half import half, halved
from hwnas.targets.shared.quantisation import column, integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.graph import Weights

ZERO = 128
BITS = 8


def store(layers: Any, precision: str) -> None:
    """Change how convolutions and inner products of a network hold their weights.

    Args:
        layers: of the network's protobuf, weights in float32.
        precision: "fp32" changes nothing, "fp16" or "int8".

    Raises:
        CheckFailed: a weight is beyond the range of float16.
    """
    for layer in layers:
        kind = layer.WhichOneof("layer")
        if kind not in {"convolution", "innerProduct"}:
            continue
        params = getattr(layer, kind)
        if precision == "fp16":
            _to_half(params.weights, layer.name)
            _to_half(params.bias, layer.name)
        elif precision == "int8":
            _to_integers(params.weights, params.outputChannels)


def as_stored(weights: Weights, precision: str) -> Weights:
    """Return the weights as `store` leaves them, in float32."""
    if precision == "fp16":
        return halved(weights)
    if precision == "int8":
        return {name: (_real(weight), bias) for name, (weight, bias) in weights.items()}
    return weights


def _to_half(weights: Any, name: str) -> None:
    values = half(np.array(weights.floatValue, np.float32), name)
    weights.ClearField("floatValue")
    weights.float16Value = values.astype("<f2").tobytes()


def _to_integers(weights: Any, channels: int) -> None:
    values = np.array(weights.floatValue, np.float32).reshape(channels, -1)
    whole, scales = _quantised(values)
    weights.ClearField("floatValue")
    weights.rawValue = (whole.astype(np.int16) + ZERO).astype(np.uint8).tobytes()
    weights.quantization.numberOfBits = BITS
    weights.quantization.linearQuantization.scale.extend(scales.tolist())
    weights.quantization.linearQuantization.bias.extend((-ZERO * scales).tolist())


def _real(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    whole, scales = _quantised(weight)
    real: NDArray[np.float32] = whole * column(scales, weight)
    return real


def _quantised(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return integers and scales (out,); without a bias in integers the input has no part."""
    whole = integers(weight, np.zeros(len(weight), np.float32), np.float32(1))
    return whole.weight, whole.scales
