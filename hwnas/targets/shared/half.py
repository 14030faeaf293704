"""Weights in float16: half the file, for runtimes that compute in float32 all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import CheckFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.graph import Weights


def half(values: NDArray[Any], name: str) -> NDArray[np.float16]:
    """Return values in float16.

    Raises:
        CheckFailed: some are beyond its range.
    """
    largest = float(np.finfo(np.float16).max)
    if np.abs(values).max(initial=0) > largest:
        raise CheckFailed(
            f"{name} has weights up to {np.abs(values).max():.3g}, but float16 ends at "
            f"{largest:.0f}: export with --precision fp32."
        )
    return values.astype(np.float16)


def halved(weights: Weights) -> Weights:
    """Return weights and biases as float16 holds them, in float32; raises as `half`."""
    return {
        name: (
            half(weight, name).astype(np.float32),
            half(bias, name).astype(np.float32),
        )
        for name, (weight, bias) in weights.items()
    }


def rounded(value: Tensor) -> Tensor:
    """Return a value as float16 holds it, in its own type; infinite beyond the range.

    Rounds once. torch goes from float64 to float16 by way of float32, and so rounds twice: 6 of
    100,000 values come out different.
    """
    import torch

    with np.errstate(over="ignore"):
        nearest = value.numpy().astype(np.float16)
    return torch.from_numpy(nearest).to(value.dtype)
