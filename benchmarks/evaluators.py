"""Which evaluator orders candidates as the truth does? One table, from two files of results.

For each evaluator and set of networks: Kendall's tau with the truth (mean over seeds) by
cross-entropy and by accuracy, the share of the pairs that the truth separates by two standard
errors and the evaluator orders rightly, training images per network (what is trained once for all
is shared out over the 40) and seconds. "ceiling" is the tau that the truth, repeated with its own
standard errors, would have with itself.

    python benchmarks/evaluators.py        reads benchmarks/results/evaluator_{truth,scores}.json

`evaluator_truth.py` (a GPU) and `evaluator_scores.py` (CPU processes) make these files.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import combinations
from math import prod
from pathlib import Path

import numpy as np
from evaluator_truth import SPACE, one_block_additions, path
from scipy.stats import kendalltau

RESULTS = Path(__file__).parent / "results"
SETS = {
    "one block": [SPACE.format(arch) for arch in one_block_additions()],
    "path": [SPACE.format(arch) for arch in path()],
}


def tau(left: list[float], right: list[float]) -> float:
    """Return Kendall's tau."""
    return float(kendalltau(left, right).statistic)


def ceiling(mean: np.ndarray, error: np.ndarray) -> float:
    """Return the tau that a repetition of the truth would reach; 0 if it holds only noise."""
    signal = max(0.0, mean.var(ddof=1) - np.mean(error**2))
    if not signal:
        return 0.0
    true = mean.mean() + (mean - mean.mean()) * np.sqrt(signal / mean.var(ddof=1))
    rng = np.random.default_rng(0)
    return float(np.mean([tau(true, rng.normal(true, error)) for _ in range(200)]))


def ordered_rightly(mean: np.ndarray, error: np.ndarray, losses: list[float]) -> float:
    """Return the share of the pairs two standard errors apart that `losses` orders likewise."""
    pairs = [
        (mean[i] - mean[j]) * (losses[i] - losses[j]) > 0
        for i, j in combinations(range(len(mean)), 2)
        if abs(mean[i] - mean[j]) > 2 * np.hypot(error[i], error[j])
    ]
    return float(np.mean(pairs)) if pairs else float("nan")


def size_scores() -> dict[str, dict[str, list[float]]]:
    """Return scores that need no training: counts, as (accuracy, cross-entropy, seconds)."""
    found: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for text in {text for some in SETS.values() for text in some}:
        graph = SPACE.graph(SPACE.parse(text))
        values = {
            "params": graph.params,
            "madds": graph.madds,
            "activations": sum(prod(node.shape) for node in graph),
        }
        for name, value in values.items():
            found[name][text] = [value, -value, 0.0]
    return found


def main() -> None:
    """Print the table and write it."""
    truth = json.loads((RESULTS / "evaluator_truth.json").read_text())
    jobs = json.loads((RESULTS / "evaluator_scores.json").read_text())["jobs"]
    losses: dict[tuple[str, str], list[float]] = defaultdict(list)
    for training in truth["trainings"]:
        losses[training["dataset"], training["arch"]] += training["cross_entropy"]
    scores: dict[tuple[str, str], dict[int, dict[str, list[float]]]] = defaultdict(dict)
    images: dict[str, float] = dict.fromkeys(size_scores(), 0.0)
    for job in jobs:
        scores[job["evaluator"], job["dataset"]].setdefault(job["seed"], {}).update(job["scores"])
        images[job["evaluator"]] = job["images"] + job["shared_images"] / 40
    rows = []
    for dataset in dict.fromkeys(name for name, _ in losses):
        for name, values in size_scores().items():
            scores[name, dataset][0] = values
        for kind, archs in SETS.items():
            mean = np.array([np.mean(losses[dataset, arch]) for arch in archs])
            error = np.array(
                [np.std(losses[dataset, a], ddof=1) / len(losses[dataset, a]) ** 0.5 for a in archs]
            )
            print(f"{dataset}, {kind}: ceiling {ceiling(mean, error):.2f}")
            for name in images:
                seeds = [s for s in scores[name, dataset].values() if set(archs) <= set(s)]
                if not seeds:
                    continue
                by_loss = [[s[a][1] for a in archs] for s in seeds]
                row = {
                    "dataset": dataset,
                    "networks": kind,
                    "evaluator": name,
                    "seeds": len(seeds),
                    "tau_cross_entropy": np.mean([tau(mean, found) for found in by_loss]),
                    "tau_accuracy": np.mean([tau(-mean, [s[a][0] for a in archs]) for s in seeds]),
                    "separated_pairs_right": np.mean(
                        [ordered_rightly(mean, error, found) for found in by_loss]
                    ),
                    "images": images[name],
                    "seconds": np.mean([s[a][2] for s in seeds for a in archs]),
                    "ceiling": ceiling(mean, error),
                }
                rows.append(
                    {k: v if isinstance(v, str | int) else float(v) for k, v in row.items()}
                )
                print(
                    f"  {name:<16} tau {row['tau_cross_entropy']:+.2f} (accuracy "
                    f"{row['tau_accuracy']:+.2f})  pairs {row['separated_pairs_right']:4.0%}  "
                    f"{row['images']:>6,.0f} images  {row['seconds']:5.1f} s  {row['seeds']} seeds"
                )
    (RESULTS / "evaluators.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
