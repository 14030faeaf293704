"""Which evaluator orders candidates as the truth does, and what does a search with it find?

For each evaluator and set of networks: Kendall's tau with the truth (mean over seeds) by
cross-entropy, with its standard error (bootstrap over networks), by accuracy, on the half of the
networks that nothing was chosen by, the share of the pairs that the truth separates by two
standard errors and the evaluator orders rightly, training images per network (what is trained once
for all is shared out over them) and seconds. "ceiling" is the tau that the truth, repeated with its
own standard errors, would have with itself. "imitation alone" is `distill` without what it counts
per block. For a search: images per network that it asked for, and the held-out accuracy and
cross-entropy of its winner, trained long.

    python benchmarks/evaluators.py        reads files of benchmarks/results

`evaluator_truth.py` (a GPU), `evaluator_budget.py`, `evaluator_scores.py`, `zero_cost_scores.py`,
`pooled_effects.py` and `evaluator_searches.py` (CPU) make them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import combinations

import numpy as np
from evaluator_budget import SEEN
from evaluator_truth import SPACE
from known_scores import (
    GROUPS,
    MIXED,
    RESULTS,
    RUNGS,
    Scores,
    covers,
    halving,
    pooled,
    sets,
    together,
    trained,
    without_training,
)
from scipy.stats import kendalltau


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


def spread(truth: np.ndarray, by_seed: list[list[float]]) -> float:
    """Return the standard error of the mean tau, from resampling networks."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(truth), size=len(truth)) for _ in range(200)]
    means = [
        np.mean([tau(truth[some], np.array(found)[some]) for found in by_seed]) for some in drawn
    ]
    return float(np.std(means))


def truth_of(dataset: str) -> dict[str, list[float]]:
    """Return the cross-entropies of every network's long trainings."""
    losses: dict[str, list[float]] = defaultdict(list)
    for training in json.loads((RESULTS / "evaluator_truth.json").read_text())["trainings"]:
        if training["dataset"] == dataset:
            losses[training["arch"]] += training["cross_entropy"]
    if dataset == "cluttered-digits":
        losses |= {arch: own for arch, own in of_budget().items() if arch not in losses}
    return losses


def of_budget() -> dict[str, list[float]]:
    """Return the cross-entropies of the trainings of `evaluator_budget.py`."""
    losses: dict[str, list[float]] = defaultdict(list)
    for one in json.loads((RESULTS / "evaluator_budget.json").read_text())["trainings"]:
        losses[one["arch"]].append(one["cross_entropy"])
    return losses


def by_accuracy(scores: Scores, archs: list[str], mean: np.ndarray) -> float | None:
    """Return the tau that accuracy in place of cross-entropy has with the truth, if it is known."""
    seeds = [found for found in scores.accuracies.values() if set(archs) <= set(found)]
    if not seeds:
        return None
    return float(np.mean([tau(mean, [-found[arch] for arch in archs]) for found in seeds]))


def one_long_training(truth: dict[str, list[float]], archs: list[str]) -> float:
    """Return the mean tau of single long trainings with the mean of all others."""
    seeds = min(len(truth[arch]) for arch in archs)
    table = np.array([truth[arch][:seeds] for arch in archs])
    others = [np.delete(table, seed, axis=1).mean(1) for seed in range(seeds)]
    return float(np.mean([tau(table[:, seed], others[seed]) for seed in range(seeds)]))


def rows_of(dataset: str, kind: str, evaluators: dict[str, Scores]) -> list[dict]:
    """Return and print one row per evaluator."""
    truth, archs = truth_of(dataset), sets()[kind]
    mean = np.array([np.mean(truth[arch]) for arch in archs])
    error = np.array([np.std(truth[arch], ddof=1) / len(truth[arch]) ** 0.5 for arch in archs])
    limit, rows = ceiling(mean, error), []
    long = one_long_training(truth, archs)
    print(f"{dataset}, {kind}: ceiling {limit:.2f}, one long training {long:.2f}")
    evaluators = dict(evaluators)
    if set(RUNGS) <= set(evaluators) and GROUPS[kind] == "truth":
        evaluators["halving"] = halving([evaluators[rung] for rung in RUNGS], archs)
    if all(name in evaluators and covers(evaluators[name], archs) for name in MIXED):
        evaluators[" + ".join(MIXED)] = together([evaluators[name] for name in MIXED], archs)
    for name, scores in evaluators.items():
        seeds = [[s[a] for a in archs] for s in scores.losses.values() if set(archs) <= set(s)]
        if not seeds or len(set(seeds[0])) == 1:  # not scored, or no order: one block each
            continue
        row = {
            "dataset": dataset,
            "networks": kind,
            "evaluator": name,
            "seeds": len(seeds),
            "tau": float(np.mean([tau(mean, found) for found in seeds])),
            "tau_stderr": spread(mean, seeds),
            "tau_other_half": float(np.mean([tau(mean[1::2], found[1::2]) for found in seeds])),
            "separated_pairs_right": float(
                np.mean([ordered_rightly(mean, error, found) for found in seeds])
            ),
            "tau_by_accuracy": by_accuracy(scores, archs, mean),
            "images": scores.images.get(GROUPS[kind], 0.0),
            "seconds": float(np.mean(scores.seconds)),
            "ceiling": limit,
            "one_long_training": long,
        }
        rows.append(row)
        right = row["separated_pairs_right"]
        print(
            f"  {name:<28} tau {row['tau']:+.2f} +- {row['tau_stderr']:.2f} (other half "
            f"{row['tau_other_half']:+.2f}){told(row['tau_by_accuracy'])}  pairs {right:4.0%}  "
            f"{row['images']:>6,.0f} images  {row['seconds']:5.1f} s  {row['seeds']} seeds"
        )
    return rows


def told(value: float | None) -> str:
    """Return what is printed of the tau by accuracy."""
    return "" if value is None else f" by accuracy {value:+.2f}"


def among(losses: list[float], chance: list[list[float]]) -> dict[str, float | None]:
    """Return how a winner, trained like the networks of one budget, stands among them.

    Only the seeds that it was trained from are compared; they come in the same order everywhere.
    """
    if not losses:
        return {"long_cross_entropy": None, "share_of_random_networks_behind": None}
    mean = float(np.mean(losses))
    behind = float(np.mean([np.mean(others[: len(losses)]) > mean for others in chance]))
    return {"long_cross_entropy": mean, "share_of_random_networks_behind": behind}


def search_rows() -> list[dict]:
    """Return and print what `evaluator_searches.py` found."""
    file = RESULTS / "evaluator_searches.json"
    if not file.exists():
        return []
    content = json.loads(file.read_text())
    long: dict[str, list[dict]] = defaultdict(list)
    for training in content["trainings"]:
        long[training["arch"]].append(training)
    start = SPACE.format(SPACE.start())
    rows = []
    truth = of_budget()
    chance = [truth[SPACE.format(arch)] for arch in SEEN.networks()]
    print(f"searches within {content['budgets']}")
    for found in [{"evaluator": "S0", "arch": start}, *content["searches"]]:
        trainings = long[found["arch"]]
        if len(trainings) < 2:
            continue
        losses = [training["cross_entropy"] for training in trainings]
        accuracies = [training["accuracy"] for training in trainings]
        images = found.get("images", 0) + found.get("teacher_images", 0)
        decisions = found.get("decisions", 0)
        row = {
            "evaluator": found["evaluator"],
            "seed": found.get("seed"),
            "arch": found["arch"],
            "images": images,
            "decisions": decisions,
            "images_per_decision": images / decisions if decisions else 0.0,
            "seconds": found.get("seconds", 0.0),
            "trainings": len(losses),
            "accuracy": float(np.mean(accuracies)),
            "cross_entropy": float(np.mean(losses)),
            "cross_entropy_stderr": float(np.std(losses, ddof=1) / len(losses) ** 0.5),
            **among(truth[found["arch"]], chance),
        }
        rows.append(row)
        print(
            f"  {row['evaluator']:<10} {images:>8,} images, {decisions:>4} decisions, "
            f"{row['images_per_decision']:>6,.0f} each, {row['seconds']:5.0f} s: accuracy "
            f"{row['accuracy']:.2%}, cross-entropy {row['cross_entropy']:.4f} +- "
            f"{row['cross_entropy_stderr']:.4f} ({len(losses)} seeds); trained longer "
            f"{row['long_cross_entropy'] or float('nan'):.4f}, better than "
            f"{row['share_of_random_networks_behind'] or 0:.0%} of the random networks of that "
            f"budget  {found['arch']}"
        )
    return rows


def main() -> None:
    """Print the tables and write them."""
    by_dataset = trained()
    rows = []
    for dataset in by_dataset:
        evaluators = without_training()
        if dataset == "cluttered-digits":
            evaluators["pooled"] = pooled()
        else:
            measured = json.loads((RESULTS / "zero_cost_scores.json").read_text())["scores"]
            evaluators = {n: s for n, s in evaluators.items() if n not in measured}
        evaluators |= by_dataset[dataset]
        for kind in sets() if dataset == "cluttered-digits" else ("one block", "path"):
            rows += rows_of(dataset, kind, evaluators)
    content = {"orders": rows, "searches": search_rows()}
    (RESULTS / "evaluators.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
