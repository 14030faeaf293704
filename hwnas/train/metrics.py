"""How good a network is on held-out images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from hwnas.train.world import ALONE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

    from hwnas.data.dataset import Batch
    from hwnas.train.world import World

BATCH = 500
TOP = 5

SMALLEST_BATCH, CPU_PIXELS = 8, 32 * 32**2
"""What fits into a processor's caches: more at a time takes up to three times as long."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over the images, with standard errors.

    Attributes:
        accuracy: share of images classified correctly.
        accuracy_stderr: its standard error.
        cross_entropy: nats per image.
        cross_entropy_stderr: its standard error.
        validation: number of images.
        top5: share of images whose class is among the five likeliest; None with up to five classes.
    """

    accuracy: float
    accuracy_stderr: float
    cross_entropy: float
    cross_entropy_stderr: float
    validation: int
    top5: float | None


def measure(network: nn.Module, batches: Iterable[Batch], world: World = ALONE) -> Metrics:
    """Score `network` in evaluation mode (its mode is left as it was).

    Args:
        network: gives logits (n, classes).
        batches: held-out images, where the network is.
        world: the processes that share the work; all get the result.
    """
    return metrics_of(*outputs(network, batches, world))


@torch.inference_mode()
def outputs(
    network: nn.Module, batches: Iterable[Batch], world: World = ALONE
) -> tuple[Tensor, Tensor]:
    """Return logits (n, classes) and labels (n,) of all images, in evaluation mode."""
    was_training = network.training
    network.eval()
    all_logits, all_labels = [], []
    for images, some in batches:
        all_logits.append(_logits(network, images, world))
        all_labels.append(some)
    network.train(was_training)
    return torch.cat(all_logits), torch.cat(all_labels)


def _logits(network: nn.Module, images: Tensor, world: World) -> Tensor:
    own = world.part(len(images))
    parts = [network(part).float() for part in torch.split(images[own], _together(images))]
    found = torch.cat(parts)
    if world.size == 1:
        return found
    logits = found.new_zeros(len(images), found.shape[1])
    logits[own] = found
    world.add([logits])
    return logits


def _together(images: Tensor) -> int:
    """Return how many images (n, 3, r, r) are classified at a time."""
    if images.device.type != "cpu":
        return BATCH
    return min(BATCH, max(SMALLEST_BATCH, CPU_PIXELS // (images.shape[2] * images.shape[3])))


def metrics_of(logits: Tensor, labels: Tensor) -> Metrics:
    """Return the metrics of logits (n, classes) for labels (n,)."""
    losses = functional.cross_entropy(logits, labels, reduction="none").double()
    count = len(labels)
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    top5 = None
    if logits.shape[1] > TOP:
        among = (logits.topk(TOP).indices == labels[:, None]).any(1)
        top5 = among.double().mean().item()
    return Metrics(
        accuracy,
        math.sqrt(accuracy * (1 - accuracy) / count),
        losses.mean().item(),
        losses.std(correction=0).item() / math.sqrt(count),
        count,
        top5,
    )
