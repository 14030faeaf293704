"""Block effects fitted to trainings of many networks at once: does that order the 40 networks?

20 networks, chosen so that together they tell most of stages and types (greedy V-optimal design),
are trained on 16,384 images each, with the same batches and weights of their own. The logarithm of
their cross-entropy is then regressed on size (activations, MAdds, parameters), depth per stage, per
type, and per stage and type, the n-th block of a stage counting n^(-1/2); the variance of each
group's effects and of the noise is the likeliest one. Every network's score is what that predicts.

    python benchmarks/pooled_effects.py --out benchmarks/results/pooled_effects.json --minutes 9
    python benchmarks/pooled_effects.py      prints noise and spread of what was trained
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from evaluator_truth import SPACE
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from hwnas import __version__
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.zero_cost import activations
from hwnas.models.network import Network, initialise
from hwnas.spaces.blocks import BLOCK_TYPES
from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES
from hwnas.train.loop import Training
from hwnas.train.metrics import measure
from hwnas.train.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hwnas.spaces import Arch

RESULT = Path(__file__).parent / "results" / "pooled_effects.json"
RECIPE = Recipe("pooled", 16_384, 32, 0.2, ema=0.98, validation=4_000)
NETWORKS, DRAWN, LARGEST_MADDS = 20, 600, 2.0e6
LIKELY_SHARE, LIKELY_NOISE, SPREAD = 0.1, 0.2, 1.5
"""Of the values' variance, beforehand: a group's, the noise's; and how far off, in e-folds."""

UNKNOWN_MEAN, DESIGN_NOISE = 1000.0, 0.25
"""Of the design: variances of the mean and of one value, where a group's features have 1."""

WORTH = np.concatenate([[0.0], np.cumsum(np.arange(1, STAGE_POSITIONS + 1) ** -0.5)])


def describe(archs: Sequence[Arch]) -> list[NDArray]:
    """Return one matrix (networks, columns) per group of effects."""
    graphs = [SPACE.graph(arch) for arch in archs]
    volumes = [activations(SPACE, arch) for arch in archs]
    size = np.log([[v, g.madds, g.params] for v, g in zip(volumes, graphs, strict=True)])
    filled = np.asarray(archs).reshape(len(archs), STAGES, STAGE_POSITIONS)
    counts = np.stack([(filled == block).sum(2) for block in BLOCK_TYPES], axis=2)
    blocks = counts.sum(2)
    shared = counts * (WORTH[blocks] / np.maximum(blocks, 1))[:, :, None]
    return [*np.hsplit(size, 3), WORTH[blocks], shared.sum(1), shared.reshape(len(archs), -1)]


def scaled(groups: list[NDArray], like: list[NDArray]) -> list[NDArray]:
    """Return groups with the mean and the mean length of those in `like` removed."""
    centers = [group.mean(0) for group in like]
    lengths = [
        math.sqrt(((g - c) ** 2).sum(1).mean()) or 1.0 for g, c in zip(like, centers, strict=True)
    ]
    return [(g - c) / n for g, c, n in zip(groups, centers, lengths, strict=True)]


def design() -> list[Arch]:
    """Return S0 and the networks that leave the least variance in all that were drawn."""
    rng = np.random.default_rng(0)
    start = SPACE.canonical(SPACE.start())
    drawn = dict.fromkeys(_grown(rng) for _ in range(DRAWN))
    archs = [start, *(a for a in drawn if SPACE.graph(a).madds < LARGEST_MADDS and a != start)]
    features = describe(archs)
    everything = np.hstack(scaled(features, features))
    covariance = UNKNOWN_MEAN + everything @ everything.T
    chosen = [0]
    while True:
        column = covariance[:, chosen[-1]]
        covariance = covariance - np.outer(column, column) / (DESIGN_NOISE + column[chosen[-1]])
        if len(chosen) == NETWORKS:
            return [archs[index] for index in chosen]
        drop = (covariance**2).sum(0) / (DESIGN_NOISE + np.diag(covariance))
        drop[chosen] = -1.0
        chosen.append(int(np.argmax(drop)))


def _grown(rng: np.random.Generator) -> Arch:
    """Return S0 with blocks in some stages, often of one type alone."""
    arch = list(SPACE.canonical(SPACE.start()))
    for stage in range(STAGES):
        count = int(rng.choice([0, 0, 1, 2, 4]))
        only, pure = int(rng.integers(1, 7)), rng.random() < 0.5
        for _ in range(count):
            free = arch.index(0, stage * STAGE_POSITIONS)
            arch[free] = only if pure else int(rng.integers(1, 7))
    return SPACE.canonical(tuple(arch))


def predict(
    pool: Sequence[Arch], losses: Sequence[float], archs: Sequence[Arch]
) -> tuple[list[float], float]:
    """Return what each network's log cross-entropy should be, and the noise of one training."""
    like, values = describe(pool), np.log(losses)
    mean, spread = values.mean(), values.std()
    standard = (values - mean) / spread
    seen = scaled(like, like)
    kernels = np.stack([group @ group.T for group in seen])
    prior = np.log([*(LIKELY_SHARE for _ in seen), LIKELY_NOISE])

    def covariance(logs: NDArray) -> NDArray:
        found = 1.0 + np.tensordot(np.exp(logs[:-1]), kernels, 1)
        return found + (np.exp(logs[-1]) + 1e-6) * np.eye(len(values))

    def unlikely(logs: NDArray) -> float:
        factor = cho_factor(covariance(logs), lower=True)
        gap = (logs - prior) / SPREAD
        fit = 0.5 * standard @ cho_solve(factor, standard) + np.log(np.diag(factor[0])).sum()
        return float(fit + 0.5 * gap @ gap)

    logs = minimize(unlikely, prior, method="L-BFGS-B").x
    weights = cho_solve(cho_factor(covariance(logs), lower=True), standard)
    new = scaled(describe(archs), like)
    variances = np.exp(logs[:-1])
    cross = 1.0 + sum(v * x @ y.T for v, x, y in zip(variances, new, seen, strict=True))
    return list(mean + spread * (cross @ weights)), float(spread * np.exp(logs[-1] / 2))


def train(arch: Arch, seed: int) -> dict:
    """Train one network of the pool: weights of its own, the batches of all."""
    setting = Setting(SPACE, "cluttered-digits")
    began = time.perf_counter()
    network = Network(SPACE.graph(arch))
    initialise(network, seed, still_branches=True)
    training = Training(network, RECIPE, setting.torch_device)
    for _ in training.run(setting.batches(RECIPE.images, RECIPE.batch_size, 0)):
        pass
    found = measure(training.result, setting.held_out("search", RECIPE.validation))
    return {
        "arch": SPACE.format(arch),
        "accuracy": found.accuracy,
        "cross_entropy": found.cross_entropy,
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Train what is missing, until the time is over; print how much of it is noise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON; nothing is trained without it")
    parser.add_argument("--minutes", type=float, default=9.0)
    options = parser.parse_args()
    file = options.out or RESULT
    content = json.loads(file.read_text()) if file.exists() else {"pool": []}
    content |= {"hwnas": __version__, "dataset": "cluttered-digits", "recipe": asdict(RECIPE)}
    torch.set_num_threads(1)
    end = time.monotonic() + 60 * options.minutes
    known = {network["arch"] for network in content["pool"]}
    for seed, arch in enumerate(design() if options.out else []):
        if SPACE.format(arch) not in known and time.monotonic() < end:
            content["pool"].append(train(arch, seed))
            file.write_text(json.dumps(content, indent=1) + "\n")
    pool = [SPACE.parse(network["arch"]) for network in content["pool"]]
    losses = [network["cross_entropy"] for network in content["pool"]]
    _, noise = predict(pool, losses, pool)
    print(
        f"{len(pool)} networks: log cross-entropy has a deviation of {np.log(losses).std():.3f}, "
        f"of which noise {noise:.3f}"
    )


if __name__ == "__main__":
    main()
