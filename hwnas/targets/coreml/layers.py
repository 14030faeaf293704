"""What each layer of a Core ML neural network computes, after Apple's NeuralNetwork.proto.

The comments of that file (BSD-3, coremltools) are the specification, as they hold for versions 1
to 3: a blob is a tensor (sequence, batch, channel, height, width). It knows the layers, and of them
the options, that hwnas's files have; anything else is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.errors import HwnasError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Layer: TypeAlias = Callable[..., Tensor]
"""Function of a layer's input blobs."""


def unknown(what: str) -> HwnasError:
    """Return the error for something that is not interpreted."""
    return HwnasError(f"the Core ML executor does not interpret {what}")


# Parameters -----------------------------------------------------------------------------------


def _tensor(weights: Any, *shape: int) -> Tensor:
    """Return stored weights, which are in row-major order, as float64."""
    if weights.float16Value:
        values = np.frombuffer(weights.float16Value, "<f2").astype(np.float32)
    elif weights.rawValue:
        values = _dequantised(weights)
    else:
        values = np.array(weights.floatValue, np.float32)
    return torch.from_numpy(values.astype(np.float64).reshape(shape))


def _dequantised(weights: Any) -> NDArray[np.float32]:
    stored, quantization = np.frombuffer(weights.rawValue, np.uint8), weights.quantization
    if quantization.numberOfBits != 8:
        raise unknown(f"weights of {quantization.numberOfBits} bits")
    if quantization.WhichOneof("QuantizationType") == "lookupTableQuantization":
        return np.array(quantization.lookupTableQuantization.floatValue, np.float32)[stored]
    linear = quantization.linearQuantization
    scale, bias = np.array(linear.scale, np.float32), np.array(linear.bias or [0], np.float32)
    # One pair for all, or one per output channel, which is the first dimension.
    return stored.reshape(len(scale), -1) * scale[:, None] + bias[:, None]


def _pair(values: Any, default: int) -> tuple[int, int]:
    height, width = values or (default, default)
    return int(height), int(width)


def _padding(params: Any, kind: str) -> list[int]:
    """Return left, right, top, bottom."""
    if kind != "valid":
        raise unknown(f"padding {kind}")
    borders = params.valid.paddingAmounts.borderAmounts
    amounts = [(edge.startEdgeSize, edge.endEdgeSize) for edge in borders] or [(0, 0)] * 2
    return [*amounts[1], *amounts[0]]


# Layers: each reads its parameters once and returns the function of its inputs ------------------


def _convolution(params: Any) -> Layer:
    if params.isDeconvolution or any(factor > 1 for factor in params.dilationFactor):
        raise unknown("deconvolutions and dilated convolutions")
    kernel, stride = _pair(params.kernelSize, 3), _pair(params.stride, 1)
    weight = _tensor(params.weights, params.outputChannels, params.kernelChannels, *kernel)
    bias = _tensor(params.bias, params.outputChannels) if params.hasBias else None
    padding = _padding(params, params.WhichOneof("ConvolutionPaddingType"))

    def apply(x: Tensor) -> Tensor:
        padded = functional.pad(x.flatten(0, 1), padding)
        result = functional.conv2d(padded, weight, bias, stride, groups=params.nGroups or 1)
        return result.reshape(*x.shape[:2], *result.shape[1:])

    return apply


def _pooling(params: Any) -> Layer:
    average = params.type == params.AVERAGE
    if not average and params.type != params.MAX:
        raise unknown("L2 pooling")
    if params.globalPooling:
        return lambda x: x.mean((3, 4), keepdim=True) if average else x.amax((3, 4), keepdim=True)
    kernel, stride = _pair(params.kernelSize, 3), _pair(params.stride, 1)
    padding = _padding(params, params.WhichOneof("PoolingPaddingType"))
    if average and params.avgPoolExcludePadding and any(padding):
        raise unknown("averages without the padding")
    pool = functional.avg_pool2d if average else functional.max_pool2d

    def apply(x: Tensor) -> Tensor:
        padded = functional.pad(x.flatten(0, 1), padding, value=0.0 if average else -torch.inf)
        result: Tensor = pool(padded, kernel, stride)
        return result.reshape(*x.shape[:2], *result.shape[1:])

    return apply


def _inner_product(params: Any) -> Layer:
    weight = _tensor(params.weights, params.outputChannels, params.inputChannels)
    bias = _tensor(params.bias, params.outputChannels) if params.hasBias else None
    return lambda x: functional.linear(x.flatten(2), weight, bias)[..., None, None]


def _scale(params: Any) -> Layer:
    """Multiply each channel by its factor."""
    if params.hasBias or len(params.shapeScale) != 1:
        raise unknown("scales but of channels, without a bias")
    scale = _tensor(params.scale, params.shapeScale[0], 1, 1)
    return lambda x: scale * x


def _activation(params: Any) -> Layer:
    kind = params.WhichOneof("NonlinearityType")
    functions: dict[str, Callable[[Any, Tensor], Tensor]] = {
        "linear": lambda p, x: p.alpha * x + p.beta,
        "ReLU": lambda _, x: x.clamp(min=0),
        "sigmoidHard": lambda p, x: (p.alpha * x + p.beta).clamp(0, 1),
    }
    if kind not in functions:
        raise unknown(f"activation {kind}")
    return lambda x: functions[kind](getattr(params, kind), x)


def _unary(params: Any) -> Layer:
    kind = params.Operation.Name(params.type)
    if kind != "THRESHOLD":
        raise unknown(f"unary function {kind}")
    return lambda x: ((params.scale or 1.0) * x + params.shift).clamp(min=params.alpha)


def _slice(params: Any) -> Layer:
    start, end = params.startIndex, params.endIndex
    if params.axis != params.CHANNEL_AXIS or params.stride > 1 or end < 0:
        raise unknown("slices but of channels, every one, with an end counted from the start")
    return lambda x: x[:, :, start:end]


def _reshape(params: Any) -> Layer:
    if params.mode == params.CHANNEL_LAST:
        raise unknown("reshapes of channels last")
    shape = tuple(params.targetShape)

    def apply(x: Tensor) -> Tensor:
        # The batch is no part of the reshape, so it goes first.
        full = shape if len(shape) == 4 else (x.shape[0], *shape)
        return x.transpose(0, 1).reshape(x.shape[1], *full).transpose(0, 1)

    return apply


def _permute(params: Any) -> Layer:
    # Axes are numbered over (sequence, channel, height, width), without the batch.
    first, *others = ((0, 2, 3, 4)[axis] for axis in params.axis or range(4))
    return lambda x: x.permute(first, 1, *others)


LAYERS: dict[str, Callable[[Any], Layer]] = {
    "activation": _activation,
    "add": lambda _: lambda *x: sum(x[1:], x[0]),
    "concat": lambda _: lambda *x: torch.cat(x, -3),
    "convolution": _convolution,
    "innerProduct": _inner_product,
    "multiply": lambda _: lambda *x: math.prod(x[1:], start=x[0]),
    "permute": _permute,
    "pooling": _pooling,
    "reshape": _reshape,
    "scale": _scale,
    "slice": _slice,
    "softmax": lambda _: lambda x: x.softmax(-3),
    "unary": _unary,
}
"""The layers that are interpreted."""

SEVERAL_INPUTS = frozenset({"add", "concat", "multiply"})
"""Layers that read two blobs or more; all others read one."""
