"""How good a network is on held-out images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from hwnas.data.dataset import Batch

BATCH = 500


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over the images, with standard errors.

    Attributes:
        accuracy: share of images classified correctly.
        accuracy_stderr: its standard error.
        cross_entropy: nats per image.
        cross_entropy_stderr: its standard error.
        count: number of images.
    """

    accuracy: float
    accuracy_stderr: float
    cross_entropy: float
    cross_entropy_stderr: float
    count: int


@torch.inference_mode()
def measure(network: nn.Module, batches: Iterable[Batch]) -> Metrics:
    """Score `network` in evaluation mode (its mode is left as it was).

    Args:
        network: gives logits (n, classes).
        batches: held-out images, where the network is.
    """
    was_training = network.training
    network.eval()
    all_logits, all_labels = [], []
    for images, some in batches:
        all_logits += [network(part).float() for part in torch.split(images, BATCH)]
        all_labels.append(some)
    network.train(was_training)
    logits, labels = torch.cat(all_logits), torch.cat(all_labels)
    losses = functional.cross_entropy(logits, labels, reduction="none").double()
    count = len(labels)
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    return Metrics(
        accuracy,
        math.sqrt(accuracy * (1 - accuracy) / count),
        losses.mean().item(),
        losses.std(correction=0).item() / math.sqrt(count),
        count,
    )
