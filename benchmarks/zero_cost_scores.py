"""Scores without training, for the networks of `evaluator_truth.py` and `evaluator_budget.py`.

NASWOT (Mellor et al., ICML 2021): log determinant of how alike the activation patterns of a batch
are. ZiCo (Li et al., ICLR 2023): mean over standard deviation of gradients. Gradient norm, and the
spectrum of the input Jacobian's correlations (Mellor et al., 2020). Two initialisations each.

    python benchmarks/zero_cost_scores.py --out benchmarks/results/zero_cost_scores.json
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from evaluator_budget import SEEN, UNSEEN
from evaluator_truth import SPACE, one_block_additions, path
from torch import nn
from torch.nn import functional

from hwnas import __version__
from hwnas.evaluate.setting import Setting
from hwnas.models.network import Network, initialise

if TYPE_CHECKING:
    from hwnas.data.dataset import Batch

SEEDS = 2
IMAGES, BATCH = 256, 64


def naswot(network: nn.Module, batches: list[Batch]) -> float:
    """Return the log determinant of the kernel of activation patterns."""
    kernel = torch.zeros(BATCH, BATCH, dtype=torch.float64)

    def compare(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        on = (output > 0).float().flatten(1)
        kernel.add_((on @ on.T + (1 - on) @ (1 - on).T).double())

    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.register_forward_hook(compare)
    with torch.no_grad():
        network(batches[0][0])
    return torch.linalg.slogdet(kernel).logabsdet.item()


def zico(network: nn.Module, batches: list[Batch]) -> float:
    """Return the sum over layers of the log of the gradients' mean over deviation."""
    weights = [value for value in network.parameters() if value.dim() > 1]
    gradients = [
        torch.autograd.grad(functional.cross_entropy(network(x), y), weights) for x, y in batches
    ]
    total = 0.0
    for of_layer in zip(*gradients, strict=True):
        stacked = torch.stack([gradient.flatten() for gradient in of_layer])
        deviation, mean = stacked.std(0), stacked.abs().mean(0)
        used = deviation > 0
        total += torch.log((mean[used] / deviation[used]).sum() + 1e-12).item()
    return total


def gradient_norm(network: nn.Module, batches: list[Batch]) -> float:
    """Return the length of the gradient of one batch."""
    images, labels = batches[0]
    loss = functional.cross_entropy(network(images), labels)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))


def jacobian(network: nn.Module, batches: list[Batch]) -> float:
    """Return how little the input gradients of images are correlated."""
    images = batches[0][0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(images).sum(), images)
    values = np.linalg.eigvalsh(np.corrcoef(gradient.flatten(1).numpy()))
    return float(-np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5)))


SCORES = {
    "naswot": naswot,
    "zico": zico,
    "gradient norm": gradient_norm,
    "jacobian": jacobian,
}


def main() -> None:
    """Score all networks, print nothing but the time, write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    options = parser.parse_args()
    if options.out is None:
        print("skipped: of use only with --out FILE.json")
        return
    torch.set_num_threads(1)
    setting = Setting(SPACE, "cluttered-digits")
    batches = list(setting.batches(IMAGES, BATCH, 7))
    content: dict = {"hwnas": __version__, "dataset": "cluttered-digits", "scores": {}}
    for name, score in SCORES.items():
        began, found = time.perf_counter(), {}
        sets = (one_block_additions(), path(), SEEN.networks(), UNSEEN.networks())
        for arch in dict.fromkeys(arch for some in sets for arch in some):
            values = []
            for seed in range(SEEDS):
                network = Network(SPACE.graph(arch)).train()
                initialise(network, seed)
                values.append(score(network, batches))
            found[SPACE.format(arch)] = float(np.mean(values))
        seconds = (time.perf_counter() - began) / len(found) / SEEDS
        content["scores"][name] = {"seconds": seconds, "networks": found}
        print(f"{name}: {seconds:.2f} s per network and seed", flush=True)
    options.out.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
