"""The training loop: one step at a time, so that it can stop and go on anywhere."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.errors import EvaluationFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hwnas.data.dataset import Batch
    from hwnas.train.recipe import Recipe

CHECK_STEPS = 20


class Training:
    """A network on its way through a recipe.

    All state is in `network`, the optimiser, the averaged weights and `step`; with the same
    state and the same batches, the continuation is the same to the bit.

    Attributes:
        network: the module in training; moved to `device`, channels last.
        step: number of batches seen.
        result: the module that the recipe yields: averaged weights if it asks for them.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, device: torch.device) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.recipe = recipe
        self.device = device
        self.step = 0
        self.result = network if recipe.ema is None else copy.deepcopy(network)
        self._optimiser = torch.optim.SGD(
            network.parameters(),
            lr=recipe.peak_lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=True,
        )
        self._current = _numbers(network)
        self._average = _numbers(self.result)

    def run(self, batches: Iterable[Batch]) -> Iterator[Tensor]:
        """Train on each batch and yield its loss, a scalar.

        Raises:
            EvaluationFailed: the loss is not a finite number.
        """
        loss = torch.zeros(())
        for images, labels in batches:
            loss = self._train(images, labels)
            # Reading a loss makes a GPU wait, so it is not done at every step.
            if self.step % CHECK_STEPS == 0:
                self._check(loss)
            yield loss
        self._check(loss)

    def _check(self, loss: Tensor) -> None:
        if not math.isfinite(loss.item()):
            raise EvaluationFailed(f"training diverged: loss {loss.item()} at step {self.step}")

    def _train(self, images: Tensor, labels: Tensor) -> Tensor:
        for group in self._optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate(self.step)
        # bfloat16 needs no loss scaling; on a CPU it would only be slower.
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            logits = self.network(images)
        loss = functional.cross_entropy(
            logits.float(), labels, label_smoothing=self.recipe.label_smoothing
        )
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._update_average()
        self.step += 1
        return loss.detach()

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.recipe.ema is None:
            return
        # The first weights are random, so the average is short at first and then lengthens.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self._average, self._current, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a continuation needs."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "result": self.result.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.result.load_state_dict(state["result"])
        self._optimiser.load_state_dict(state["optimiser"])


def _numbers(network: nn.Module) -> list[Tensor]:
    """Return all floating-point parameters and buffers, for the average to follow."""
    return [value for value in network.state_dict().values() if value.is_floating_point()]
