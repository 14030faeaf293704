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
        known: dict[Tensor, Tensor] | None = None,
    ) -> None:
        """Take parameters; `known` holds running sums of earlier steps, and is filled up."""
        known = {} if known is None else known
        self.params = list(params)
        self.momentum = [known.setdefault(param, torch.zeros_like(param)) for param in params]
        self._factor = momentum
        self._decay = weight_decay

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...], rate: Tensor) -> None:
        """Move the parameters.

        Args:
            gradients: like `params`.
            rate: the learning rate, a scalar on the same device.
        """
        pulled = torch._foreach_add(gradients, self.params, alpha=self._decay)
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
