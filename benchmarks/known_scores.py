"""What evaluators said of the networks with known truth, as `evaluators.py` compares it.

Read from the files of benchmarks/results, or counted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from evaluator_budget import SEEN, UNSEEN
from evaluator_truth import SPACE, one_block_additions, path
from pooled_effects import RECIPE, predict

from hwnas.evaluate.distill.evaluator import PER_BLOCK, blocks
from hwnas.evaluate.zero_cost import activations

RESULTS = Path(__file__).parent / "results"


@lru_cache(maxsize=1)
def sets() -> dict[str, list[str]]:
    """Return the networks by what they have in common."""
    found = {
        "one block": one_block_additions(),
        "path": path(),
        "one budget": SEEN.networks(),
        "another budget": UNSEEN.networks(),
    }
    return {kind: [SPACE.format(arch) for arch in archs] for kind, archs in found.items()}


def everything() -> list[str]:
    """Return all networks, each once."""
    return list(dict.fromkeys(text for some in sets().values() for text in some))


GROUPS = {
    "one block": "truth",
    "path": "truth",
    "one budget": "budget",
    "another budget": "unseen",
}
"""By set of networks: the networks that share what is trained once for all."""

SHARING = {"truth": 39, "budget": SEEN.count, "unseen": UNSEEN.count}
MIXED = ("distill", "stitch", "train-6016")
"""Scores that know different things: their sum is looked at, too."""

RUNGS = ("train-1536", "train-3072", "train-6016")


@dataclass
class Scores:
    """What one evaluator says of networks of one data set.

    Attributes:
        losses: per seed, by network; the smaller the better.
        accuracies: the same, where networks were trained as a whole.
        seconds: of one network.
        images: trained per network, by group of networks.
    """

    losses: dict[int, dict[str, float]] = field(default_factory=dict)
    accuracies: dict[int, dict[str, float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    images: dict[str, float] = field(default_factory=dict)


def without_training() -> dict[str, Scores]:
    """Return scores that need no training: counts, and those of `zero_cost_scores.py`."""
    found: dict[str, Scores] = defaultdict(lambda: Scores({0: {}}, seconds=[0.0]))
    for text in everything():
        graph = SPACE.graph(SPACE.parse(text))
        found["params"].losses[0][text] = -graph.params
        found["madds"].losses[0][text] = -graph.madds
        found["blocks"].losses[0][text] = -blocks(SPACE.parse(text))
        volume = activations(SPACE, SPACE.parse(text))
        found["zero-cost (activations)"].losses[0][text] = -volume
    measured = json.loads((RESULTS / "zero_cost_scores.json").read_text())["scores"]
    for name, values in measured.items():
        losses = {text: -score for text, score in values["networks"].items()}
        found[name] = Scores({0: losses}, seconds=[values["seconds"]])
    return found


def imitation_alone(scores: Scores) -> Scores:
    """Return the scores of `distill` without what blocks add to them."""
    losses = {
        seed: {text: loss + PER_BLOCK * blocks(SPACE.parse(text)) for text, loss in of_seed.items()}
        for seed, of_seed in scores.losses.items()
    }
    return replace(scores, losses=losses)


def pooled() -> Scores:
    """Return what the effects fitted to a pool of trainings predict."""
    content, archs = json.loads((RESULTS / "pooled_effects.json").read_text()), everything()
    pool = [SPACE.parse(network["arch"]) for network in content["pool"]]
    losses = [network["cross_entropy"] for network in content["pool"]]
    predicted, _ = predict(pool, losses, [SPACE.parse(text) for text in archs])
    images = {group: len(pool) * RECIPE.images / count for group, count in SHARING.items()}
    seconds = sum(network["seconds"] for network in content["pool"]) / SHARING["truth"]
    losses_by_network = dict(zip(archs, predicted, strict=True))
    return Scores({0: losses_by_network}, seconds=[seconds], images=images)


def trained() -> dict[str, dict[str, Scores]]:
    """Return the scores of `evaluator_scores.py`, by data set and evaluator."""
    found: dict[str, dict[str, Scores]] = defaultdict(lambda: defaultdict(Scores))
    for job in json.loads((RESULTS / "evaluator_scores.json").read_text())["jobs"]:
        scores = found[job["dataset"]][job["evaluator"]]
        of_seed = scores.losses.setdefault(job["seed"], {})
        of_seed |= {text: loss for text, (_, loss, _) in job["scores"].items()}
        accuracies = scores.accuracies.setdefault(job["seed"], {})
        accuracies |= {text: one for text, (one, *_) in job["scores"].items() if one is not None}
        scores.seconds += [seconds for *_, seconds in job["scores"].values()]
        group = job["networks"]
        scores.images[group] = job["images"] + job["shared_images"] / SHARING[group]
    for scores_of in found.values():
        for name in [name for name in scores_of if name.startswith("distill")]:
            scores_of[f"{name}, imitation alone"] = imitation_alone(scores_of[name])
    return found


def halving(rungs: list[Scores], archs: list[str]) -> Scores:
    """Return the order that successive halving of some networks ends in, as losses."""
    found = Scores(images={"truth": 1_536 + 3_072 / 2 + 6_016 / 4})
    for seed in sorted(set.intersection(*(set(rung.losses) for rung in rungs))):
        left, order = list(archs), []
        for rung in rungs:
            losses = rung.losses[seed]
            if not set(left) <= set(losses):
                break
            left.sort(key=losses.__getitem__)
            half = left[: len(left) // 2] if rung is not rungs[-1] else []
            order = left[len(half) :] + order
            left = half
        else:
            found.losses[seed] = {arch: float(place) for place, arch in enumerate(order)}
            found.seconds.append(sum(np.mean(r.seconds) / 2**i for i, r in enumerate(rungs)))
    return found


def covers(scores: Scores, archs: list[str]) -> bool:
    """Return whether the first seed scored all of some networks."""
    return set(archs) <= set(next(iter(scores.losses.values()), ()))


def together(some: list[Scores], archs: list[str]) -> Scores:
    """Return the sum of several scores of first seeds, each in its own standard deviation."""
    first = [np.array([next(iter(one.losses.values()))[arch] for arch in archs]) for one in some]
    total = sum((losses - losses.mean()) / losses.std() for losses in first)
    return Scores({0: dict(zip(archs, map(float, total), strict=True))}, seconds=[0.0])
