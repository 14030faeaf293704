"""What each operation of an ML Program computes, after the reference of Core ML's MIL.

As coremltools' documentation of `mil.ops.defs` states it, for what its converters write of
image classifiers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.errors import HwnasError


class Inputs(dict[str, Any]):
    """By the names of MIL: tensors in float64, other constants as they are stored.

    It knows which of them were read: a parameter that nobody looks at is not interpreted.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter, or its default when it is not given."""
        self._read.add(name)
        return super().get(name, default)

    @property
    def unread(self) -> set[str]:
        """Names of what was given and not looked at."""
        return set(self) - self._read


Operation: TypeAlias = Callable[[Inputs], Any]


def unknown(what: str) -> HwnasError:
    """Return the error for something that is not interpreted."""
    return HwnasError(f"the ML Program executor does not interpret {what}")


def _integers(value: Any) -> list[int]:
    return [int(each) for each in np.asarray(value).reshape(-1)]


def _padded(
    x: Tensor, i: Inputs, kernel: list[int], strides: list[int], fill: float = 0.0
) -> Tensor:
    """Return x with its padding made explicit."""
    kind, amounts = i.get("pad_type", "valid"), _integers(i.get("pad", [0, 0, 0, 0]))
    if kind == "valid":
        return x
    if kind == "custom":
        top, bottom, left, right = amounts
        return functional.pad(x, (left, right, top, bottom), value=fill)
    if kind != "same":
        raise unknown(f"padding {kind}")
    borders = []
    for size, taps, step in zip(x.shape[2:], kernel, strides, strict=True):
        total = max(0, (-(-size // step) - 1) * step + taps - size)
        borders.append((total // 2, total - total // 2))
    return functional.pad(x, (*borders[1], *borders[0]), value=fill)


def _conv(i: Inputs) -> Tensor:
    weight, dilation = i["weight"], _integers(i.get("dilations", [1, 1]))
    extent = [(taps - 1) * step + 1 for taps, step in zip(weight.shape[2:], dilation, strict=True)]
    strides = _integers(i.get("strides", [1, 1]))
    groups = int(i.get("groups", 1))
    padded = _padded(i["x"], i, extent, strides)
    return functional.conv2d(padded, weight, i.get("bias"), strides, 0, dilation, groups)


def _pool(i: Inputs, *, average: bool) -> Tensor:
    x, kernel = i["x"], _integers(i["kernel_sizes"])
    strides = _integers(i.get("strides", [1, 1]))
    if bool(i.get("ceil_mode", False)):
        raise unknown("pooling with ceil_mode")
    if not average:
        padded = _padded(x, i, kernel, strides, -torch.inf)
        return functional.max_pool2d(padded, kernel, strides)
    result = functional.avg_pool2d(_padded(x, i, kernel, strides), kernel, strides)
    if bool(i.get("exclude_padding_from_average", False)):
        inside = _padded(torch.ones_like(x), i, kernel, strides)
        result = result / functional.avg_pool2d(inside, kernel, strides)
    return result


def _batch_norm(i: Inputs) -> Tensor:
    shape = (1, -1, *[1] * (i["x"].ndim - 2))
    mean, variance = i["mean"].view(shape), i["variance"].view(shape)
    scaled = (i["x"] - mean) / (variance + float(i.get("epsilon", 1e-5))).sqrt()
    gamma, beta = i.get("gamma"), i.get("beta")
    scaled = scaled if gamma is None else scaled * gamma.view(shape)
    result: Tensor = scaled if beta is None else scaled + beta.view(shape)
    return result


def _affine_dequantised(i: Inputs) -> Tensor:
    data = torch.from_numpy(np.asarray(i["quantized_data"]).astype(np.float64))
    zero = torch.from_numpy(np.asarray(i["zero_point"]).astype(np.float64))
    scale, axis = torch.as_tensor(i["scale"], dtype=torch.float64), int(i["axis"])
    shape = [1] * data.ndim
    shape[axis] = -1
    result: Tensor = (data - zero.view(shape if zero.ndim else ())) * scale.view(
        shape if scale.ndim else ()
    )
    return result


def _slice_by_index(i: Inputs) -> Tensor:
    x = i["x"]
    begins, ends = _integers(i["begin"]), _integers(i["end"])
    strides = _integers(i.get("stride", [1] * x.ndim))
    whole_begin = [bool(v) for v in np.asarray(i.get("begin_mask", [False] * x.ndim))]
    whole_end = [bool(v) for v in np.asarray(i.get("end_mask", [False] * x.ndim))]
    if any(np.asarray(i.get("squeeze_mask", [False]))) or min(strides) < 1:
        raise unknown("slices that squeeze or run backwards")
    places = tuple(
        slice(None if b_all else b, None if e_all else e, step)
        for b, e, step, b_all, e_all in zip(
            begins, ends, strides, whole_begin, whole_end, strict=True
        )
    )
    return x[places]  # type: ignore[no-any-return]


def _split(i: Inputs) -> tuple[Tensor, ...]:
    axis = int(i["axis"])
    sizes, parts = i.get("split_sizes"), i.get("num_splits")
    if sizes is None:
        return torch.tensor_split(i["x"], int(parts), axis)
    return torch.split(i["x"], _integers(sizes), axis)


def _reduced(i: Inputs) -> Tensor:
    axes = _integers(i["axes"]) if i.get("axes") is not None else list(range(i["x"].ndim))
    mean: Tensor = i["x"].mean(axes, keepdim=bool(i.get("keep_dims", False)))
    return mean


def _concat(i: Inputs) -> Tensor:
    """Join in order, or one of each in turn: what a channel shuffle of two halves does."""
    values, axis = i["values"], int(i["axis"])
    if not bool(i.get("interleave", False)):
        return torch.cat(values, axis)
    axis %= values[0].ndim
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


def _cast(i: Inputs) -> Tensor:
    """Pass: the declared type of the result says what becomes of it."""
    i.get("dtype")
    return i["x"]  # type: ignore[no-any-return]


def _clip(i: Inputs) -> Tensor:
    clipped: Tensor = i["x"].clamp(float(i["alpha"]), float(i["beta"]))
    return clipped


OPERATIONS: dict[str, Operation] = {
    "add": lambda i: i["x"] + i["y"],
    "avg_pool": lambda i: _pool(i, average=True),
    "batch_norm": _batch_norm,
    "cast": _cast,
    "clip": _clip,
    "concat": _concat,
    "constexpr_affine_dequantize": _affine_dequantised,
    "conv": _conv,
    "expand_dims": lambda i: i["x"][(*[slice(None)] * int(i["axes"][0]), None)],
    "linear": lambda i: functional.linear(i["x"], i["weight"], i.get("bias")),
    "max_pool": lambda i: _pool(i, average=False),
    "mul": lambda i: i["x"] * i["y"],
    "real_div": lambda i: i["x"] / i["y"],
    "reduce_mean": _reduced,
    "relu": lambda i: i["x"].clamp(min=0),
    "relu6": lambda i: i["x"].clamp(0, 6),
    "reshape": lambda i: i["x"].reshape(_integers(i["shape"])),
    "sigmoid": lambda i: i["x"].sigmoid(),
    "sigmoid_hard": lambda i: (float(i["alpha"]) * i["x"] + float(i["beta"])).clamp(0, 1),
    "silu": lambda i: functional.silu(i["x"]),
    "slice_by_index": _slice_by_index,
    "softmax": lambda i: i["x"].softmax(int(i["axis"])),
    "split": _split,
    "squeeze": lambda i: torch.squeeze(i["x"], tuple(_integers(i["axes"]))),
    "sub": lambda i: i["x"] - i["y"],
    "thresholded_relu": lambda i: torch.where(i["x"] >= float(i["alpha"]), i["x"], 0.0),
    "transpose": lambda i: i["x"].permute(_integers(i["perm"])),
}
"""The operations that are interpreted."""
