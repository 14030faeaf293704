"""Nesterov's gradient descent with everything that changes between steps in tensors.

A recorded CUDA graph repeats the very operations it saw, so a learning rate that is a Python number
would be frozen in it. The arithmetic is that of `torch.optim.SGD(nesterov=True)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Nesterov:
    """Stochastic gradient descent with momentum and weight decay (Sutskever et al., ICML 2013).

    Attributes:
        params: what is trained, changed in place.
        momentum: running sums of the gradients, like `params`.
    """

    def __init__(
        self,
        params: Sequence[Tensor],
        momentum: float,
        weight_decay: float,
        *,
        decay_vectors: bool = True,
    ) -> None:
        """Take parameters.

        Args:
            params: what is trained.
            momentum: share of the running sums that a step keeps.
            weight_decay: per step and unit of learning rate.
            decay_vectors: whether weight decay acts on batch norm and biases, too.
        """
        self.params = list(params)
        self.momentum = [torch.zeros_like(param) for param in params]
        self._factor = momentum
        self._decay = weight_decay
        numbered = enumerate(self.params)
        self._decayed = [index for index, param in numbered if decay_vectors or param.ndim > 1]

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...], rate: Tensor) -> None:
        """Move the parameters.

        Args:
            gradients: like `params`; used up.
            rate: the learning rate, a scalar on the same device.
        """
        pulled = list(gradients)
        decayed = torch._foreach_add(
            [pulled[index] for index in self._decayed],
            [self.params[index] for index in self._decayed],
            alpha=self._decay,
        )
        for index, value in zip(self._decayed, decayed, strict=True):
            pulled[index] = value
        torch._foreach_mul_(self.momentum, self._factor)
        torch._foreach_add_(self.momentum, pulled)
        torch._foreach_add_(pulled, self.momentum, alpha=self._factor)
        torch._foreach_mul_(pulled, rate)
        torch._foreach_sub_(self.params, pulled)


@torch.no_grad()
def pull_towards(averages: list[Tensor], values: list[Tensor], share: Tensor) -> None:
    """Move each average by `share`, a scalar on the same device, towards its value."""
    distance = torch._foreach_sub(values, averages)
    torch._foreach_mul_(distance, share)
    torch._foreach_add_(averages, distance)
