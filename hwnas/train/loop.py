"""The training loop: one step at a time, so that it can stop and go on anywhere."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.errors import EvaluationFailed
from hwnas.train.optimiser import Nesterov, pull_towards
from hwnas.train.recorded_step import RecordedStep
from hwnas.train.world import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hwnas.data.dataset import Batch
    from hwnas.train.recipe import Recipe
    from hwnas.train.world import World

CHECK_STEPS = 20
"""Steps between two looks at the loss."""

GPU_CHECK_STEPS = 50
"""The same on a GPU, which a look makes wait."""


class Training:
    """A network on its way through a recipe.

    All state is in `network`, the optimiser, the averaged weights and `step`; with the same
    state and the same batches, the continuation is the same to the bit. On a GPU the step is
    recorded as a CUDA graph, in bfloat16.

    Attributes:
        network: the module in training; moved to `device`, channels last.
        step: number of batches seen.
        result: the module that the recipe yields: averaged weights if it asks for them.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        device: torch.device,
        *,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        record: bool = True,
        world: World = ALONE,
    ) -> None:
        """Take a network into training.

        Args:
            network: with its initial weights.
            recipe: how.
            device: where.
            loss: takes inputs and targets of a batch, runs the network, and returns what is to be
                made small, a scalar; None: the cross-entropy of its class scores.
            record: on a GPU, record the step; else every kernel is launched on its own.
            world: the processes that train it, each from the same initial weights.
        """
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.recipe = recipe
        self.device = device
        self.step = 0
        self.result = network if recipe.ema is None else copy.deepcopy(network)
        self._loss = loss
        self._optimiser = Nesterov(
            list(network.parameters()),
            recipe.momentum,
            recipe.weight_decay,
            decay_vectors=recipe.decay_norms,
        )
        self._world = world
        self._statistics = [value for value in network.buffers() if value.is_floating_point()]
        self._current = _numbers(network)
        self._average = _numbers(self.result)
        self._rate = torch.zeros((), device=device)
        self._share = torch.zeros((), device=device)
        # Messages between processes are not recorded.
        self._record = record and device.type == "cuda" and world.size == 1
        self._recorded: RecordedStep | None = None

    def run(self, batches: Iterable[Batch]) -> Iterator[Tensor]:
        """Train on each batch and yield its loss, a scalar that the next step may overwrite.

        Labels are class numbers (n,), or probabilities (n, classes). Several processes are all
        given the whole batch, take their own parts of it, and yield the loss of the whole.

        Raises:
            EvaluationFailed: the loss is not a finite number.
        """
        every = GPU_CHECK_STEPS if self.device.type == "cuda" else CHECK_STEPS
        loss = torch.zeros(())
        last = _Look(loss)
        for images, labels in batches:
            loss = self._train(images, labels)
            if self.step % every == 0:
                # That of the check before: a GPU has finished with it, so nobody waits.
                self._check(last)
                last = _Look(loss)
            yield loss
        self._check(last)
        self._check(_Look(loss))

    def _check(self, look: _Look) -> None:
        loss = look.value()
        if not math.isfinite(loss):
            raise EvaluationFailed(f"training diverged: loss {loss} by step {self.step}")

    def _train(self, images: Tensor, labels: Tensor) -> Tensor:
        self._rate.fill_(self.recipe.learning_rate(self.step))
        if self.recipe.ema is not None:
            # The first weights are random, so the average is short at first and then lengthens.
            self._share.fill_(1 - min(self.recipe.ema, (1 + self.step) / (10 + self.step)))
        if self._record and self._recorded is None:
            self._recorded = RecordedStep(self._compute, self._state(), images, labels)
        if self._recorded is not None and self._recorded.fits(images, labels):
            loss = self._recorded(images, labels)
        else:
            loss = self._compute(images, labels)
        self.step += 1
        return loss

    def _compute(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step with the present rate and share: tensors alone decide what happens."""
        share = 1.0
        if self._world.size > 1:
            own, whole = self._world.part(len(images)), len(images)
            images, labels = images[own], labels[own]
            share = len(images) / whole
        loss = (self._loss or self._cross_entropy)(images, labels)
        gradients = torch.autograd.grad(loss, self._optimiser.params)
        loss = loss.detach()
        self._world.add([loss, *gradients, *self._statistics], share)
        self._optimiser.step(gradients, self._rate)
        if self.recipe.ema is not None:
            pull_towards(self._average, self._current, self._share)
        return loss

    def _cross_entropy(self, images: Tensor, labels: Tensor) -> Tensor:
        # bfloat16 needs no loss scaling; on a CPU it would only be slower.
        with torch.autocast("cuda", torch.bfloat16, enabled=images.device.type == "cuda"):
            logits = self.network(images)
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)

    def _state(self) -> list[Tensor]:
        average = [] if self.recipe.ema is None else self._average
        return [*self._current, *average, *self._optimiser.momentum]

    def require_finite(self) -> None:
        """Look at all weights and statistics, not only at the losses.

        Raises:
            EvaluationFailed: one of them is not a finite number.
        """
        norms = torch._foreach_norm(self._state())
        if not torch.stack(list(norms)).isfinite().all():
            raise EvaluationFailed(f"training diverged: weights not finite by step {self.step}")

    @property
    def images_seen(self) -> int:
        """Images of all batches so far, repetitions counted."""
        return min(self.step * self.recipe.batch_size, self.recipe.images)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a continuation needs."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "result": self.result.state_dict(),
            "momentum": self._optimiser.momentum,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.result.load_state_dict(state["result"])
        torch._foreach_copy_(self._optimiser.momentum, state["momentum"])


class _Look:
    """A loss on its way from the device; nothing that is queued later holds it up."""

    def __init__(self, loss: Tensor) -> None:
        self._done = None
        if loss.device.type == "cuda":
            self._loss = torch.empty((), pin_memory=True).copy_(loss, non_blocking=True)
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done.record()
        else:
            self._loss = loss.clone()

    def value(self) -> float:
        """Wait for the loss and return it."""
        if self._done is not None:
            self._done.synchronize()
        return self._loss.item()


def _numbers(network: nn.Module) -> list[Tensor]:
    """Return all floating-point parameters and buffers, for the average to follow."""
    values = network.state_dict().values()
    return [value for value in values if value.is_floating_point()]
