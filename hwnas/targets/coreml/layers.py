"""What each layer of a Core ML neural network computes, after Apple's NeuralNetwork.proto.

The comments of that file (BSD-3, coremltools) are the specification, as they hold for versions 1
to 3: a blob is a tensor (sequence, batch, channel, height, width).
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
    from collections.abc import Sequence

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


def _per_channel(weights: Any, shape: Sequence[int]) -> Tensor:
    """Return (1), (C), (1, H, W) or (C, H, W) so that it broadcasts over a blob."""
    return _tensor(weights, *(shape if len(shape) == 3 else (shape[0], 1, 1)))


def _pair(values: Any, default: int) -> tuple[int, int]:
    height, width = values or (default, default)
    return int(height), int(width)


def _padding(
    params: Any, kind: str, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]
) -> list[int]:
    """Return left, right, top, bottom; `kernel` with its dilation."""
    if kind == "valid":
        borders = params.valid.paddingAmounts.borderAmounts
        amounts = [(edge.startEdgeSize, edge.endEdgeSize) for edge in borders] or [(0, 0)] * 2
    elif kind == "same":
        heavy_start = params.same.asymmetryMode == params.same.TOP_LEFT_HEAVY
        amounts = []
        for length, taps, step in zip(size, kernel, stride, strict=True):
            total = max(0, (-(-length // step) - 1) * step + taps - length)
            start = total - total // 2 if heavy_start else total // 2
            amounts.append((start, total - start))
    else:
        raise unknown(f"padding {kind}")
    return [*amounts[1], *amounts[0]]


# Layers: each reads its parameters once and returns the function of its inputs ------------------


def _convolution(params: Any) -> Layer:
    if params.isDeconvolution:
        raise unknown("deconvolutions")
    kernel, stride = _pair(params.kernelSize, 3), _pair(params.stride, 1)
    dilation = _pair(params.dilationFactor, 1)
    extent = [(taps - 1) * factor + 1 for taps, factor in zip(kernel, dilation, strict=True)]
    weight = _tensor(params.weights, params.outputChannels, params.kernelChannels, *kernel)
    bias = _tensor(params.bias, params.outputChannels) if params.hasBias else None
    kind = params.WhichOneof("ConvolutionPaddingType")

    def apply(x: Tensor) -> Tensor:
        padded = functional.pad(
            x.flatten(0, 1), _padding(params, kind, x.shape[3:], extent, stride)
        )
        result = functional.conv2d(
            padded, weight, bias, stride, dilation=dilation, groups=params.nGroups or 1
        )
        return result.reshape(*x.shape[:2], *result.shape[1:])

    return apply


def _pooling(params: Any) -> Layer:
    average = params.type == params.AVERAGE
    if not average and params.type != params.MAX:
        raise unknown("L2 pooling")
    if params.globalPooling:
        return lambda x: x.mean((3, 4), keepdim=True) if average else x.amax((3, 4), keepdim=True)
    kernel, stride = _pair(params.kernelSize, 3), _pair(params.stride, 1)
    kind = params.WhichOneof("PoolingPaddingType")

    def apply(x: Tensor) -> Tensor:
        padding, images = _padding(params, kind, x.shape[3:], kernel, stride), x.flatten(0, 1)
        if average:
            result = functional.avg_pool2d(functional.pad(images, padding), kernel, stride)
            if params.avgPoolExcludePadding:
                inside = functional.pad(torch.ones_like(images), padding)
                result = result / functional.avg_pool2d(inside, kernel, stride)
        else:
            padded = functional.pad(images, padding, value=-torch.inf)
            result = functional.max_pool2d(padded, kernel, stride)
        return result.reshape(*x.shape[:2], *result.shape[1:])

    return apply


def _inner_product(params: Any) -> Layer:
    weight = _tensor(params.weights, params.outputChannels, params.inputChannels)
    bias = _tensor(params.bias, params.outputChannels) if params.hasBias else None
    return lambda x: functional.linear(x.flatten(2), weight, bias)[..., None, None]


def _batchnorm(params: Any) -> Layer:
    if params.computeMeanVar:
        raise unknown("batch norm over the batch at hand")
    shape = [params.channels]
    mean, variance = _per_channel(params.mean, shape), _per_channel(params.variance, shape)
    gamma, beta = _per_channel(params.gamma, shape), _per_channel(params.beta, shape)
    factor = gamma / (variance + (params.epsilon or 1e-5)).sqrt()
    return lambda x: factor * (x - mean) + beta


def _scale(params: Any) -> Layer:
    scale = _per_channel(params.scale, params.shapeScale)
    bias = _per_channel(params.bias, params.shapeBias) if params.hasBias else 0
    return lambda x: scale * x + bias


def _activation(params: Any) -> Layer:
    kind = params.WhichOneof("NonlinearityType")
    functions: dict[str, Callable[[Any, Tensor], Tensor]] = {
        "linear": lambda p, x: p.alpha * x + p.beta,
        "ReLU": lambda _, x: x.clamp(min=0),
        "leakyReLU": lambda p, x: torch.where(x >= 0, x, p.alpha * x),
        "tanh": lambda _, x: x.tanh(),
        "sigmoid": lambda _, x: x.sigmoid(),
        "sigmoidHard": lambda p, x: (p.alpha * x + p.beta).clamp(0, 1),
    }
    if kind not in functions:
        raise unknown(f"activation {kind}")
    return lambda x: functions[kind](getattr(params, kind), x)


def _unary(params: Any) -> Layer:
    kind = params.Operation.Name(params.type)
    functions: dict[str, Layer] = {
        "POWER": lambda x: x**params.alpha,
        "EXP": torch.exp,
        "ABS": torch.abs,
        "THRESHOLD": lambda x: x.clamp(min=params.alpha),
    }
    if kind not in functions:
        raise unknown(f"unary function {kind}")
    return lambda x: functions[kind]((params.scale or 1.0) * x + params.shift)


def _add(params: Any) -> Layer:
    return lambda *x: sum(x[1:], x[0]) if len(x) > 1 else x[0] + params.alpha


def _multiply(params: Any) -> Layer:
    return lambda *x: math.prod(x[1:], start=x[0]) if len(x) > 1 else x[0] * params.alpha


def _slice(params: Any) -> Layer:
    start, end = params.startIndex, params.endIndex
    if params.axis != params.CHANNEL_AXIS or params.stride > 1 or end < 0:
        raise unknown("slices but of channels, every one, with an end counted from the start")
    return lambda x: x[:, :, start:end]


def _reshape(params: Any) -> Layer:
    shape = tuple(params.targetShape)
    last = params.mode == params.CHANNEL_LAST

    def apply(x: Tensor) -> Tensor:
        # The batch is no part of the reshape, so it goes first.
        of_batch = x.transpose(0, 1)
        sequence, channels, height, width = shape if len(shape) == 4 else (x.shape[0], *shape)
        if last:
            result = of_batch.permute(0, 1, 3, 4, 2).reshape(-1, sequence, height, width, channels)
            return result.permute(1, 0, 4, 2, 3)
        return of_batch.reshape(x.shape[1], sequence, channels, height, width).transpose(0, 1)

    return apply


def _permute(params: Any) -> Layer:
    # Axes are numbered over (sequence, channel, height, width), without the batch.
    first, *others = ((0, 2, 3, 4)[axis] for axis in params.axis or range(4))
    return lambda x: x.permute(first, 1, *others)


LAYERS: dict[str, Callable[[Any], Layer]] = {
    "activation": _activation,
    "add": _add,
    "batchnorm": _batchnorm,
    "concat": lambda params: lambda *x: torch.cat(x, -5 if params.sequenceConcat else -3),
    "convolution": _convolution,
    "innerProduct": _inner_product,
    "multiply": _multiply,
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
"""Layers that read one blob or more; all others read one."""
