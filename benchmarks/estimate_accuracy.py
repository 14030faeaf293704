"""What an ESTIMATED table is worth, on targets that can be measured here.

Fits the analytical model to a few whole networks (anchors), predicts 30 others, and repeats that
over random draws of the anchors: error, rank correlation, worst network, and how many networks lie
within the stated 95% interval, beside the interval of the rates alone, which leaves out the form
of the model. The assumptions are those of iphone5s, a device some 35 times slower: what a user
knows who knows little. Then the two constants of hwnas/lut/analytical.py, as these times give them.

    python benchmarks/network_timings.py --targets onnx-cpu tflite --out TIMES.json
    python benchmarks/estimate_accuracy.py --timings TIMES.json --out FILE.json
    python benchmarks/estimate_accuracy.py --timings FILE.json      # the same without measuring
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwnas.device import find_target
from hwnas.lut import analytical
from hwnas.lut.accuracy import compare
from hwnas.lut.analytical import features, fit
from hwnas.spaces import find_space

ANCHORS = (2, 3, 4, 5, 10, 20)
FEW = 5
TEST = 30
FACTORS = np.arange(1.0, 3.01, 0.05)


def main() -> None:
    """Read times, fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timings", type=Path, help="of network_timings.py, or of an earlier run")
    parser.add_argument("--targets", nargs="+", help="only these")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.timings is None or not options.timings.is_file():
        print(f"skipped: --timings {options.timings or 'FILE'} is not there")
        return
    recorded = json.loads(options.timings.read_text())
    print("| target | space | anchors | MAPE | worst | Kendall tau | +- | covered | rates alone |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    results, constants = [], []
    for record in recorded["timings"]:
        if options.targets and record["target"] not in options.targets:
            continue
        works, measured = _load(record)
        factors = []
        for count in ANCHORS:
            row, factor = _draws(works, measured, count, options.draws)
            results.append({name: record[name] for name in ("target", "space")} | row)
            factors.append(factor)
            print(_line(results[-1]), flush=True)
        constants.append(
            {name: record[name] for name in ("target", "space")}
            | {"form_error": _form_error(works, measured), "widening": max(factors[: FEW - 1])}
        )
    for each in constants:
        print(
            f"{each['target']} {each['space']}: form error {each['form_error']:.3f}, widening for "
            f"95% with 2 to {FEW} anchors {each['widening']:.2f}"
        )
    used = {name: getattr(analytical, name) for name in ("FORM_ERROR", "WIDENING")}
    if options.out:
        content = recorded | {"constants": constants, "used": used, "results": results}
        options.out.write_text(json.dumps(content, indent=1) + "\n")


def _load(record: dict) -> tuple[np.ndarray, np.ndarray]:
    space = find_space(record["space"])
    graphs = [space.graph(space.parse(arch)) for arch in record["latency_ms"]]
    return np.array([features(graph) for graph in graphs]), np.array(
        list(record["latency_ms"].values())
    )


def _draws(works: np.ndarray, measured: np.ndarray, count: int, draws: int) -> tuple[dict, float]:
    """Return the figures for one number of anchors, and the widening that 95% would need."""
    prior = find_target("iphone5s").estimation
    figures, needed = [], []
    for draw in range(draws):
        order = np.random.default_rng([draw, count]).permutation(len(measured))
        chosen, test = order[:count], order[-TEST:]
        anchors = list(zip(works[chosen], measured[chosen], strict=True))
        model = fit(prior, anchors)
        predicted = works[test] @ model.coefficients_ms
        reach = 1.96 * np.array([model.relative_sd(work) for work in works[test]])
        errors = np.abs(measured[test] / predicted - 1)
        needed.append(errors / reach * analytical.WIDENING)
        accuracy = compare(predicted, measured[test])
        alone = _covered_by_rates_alone(prior, anchors, works[test], measured[test])
        figures.append(
            (
                *(accuracy.mape, accuracy.worst, accuracy.kendall_tau),
                *(np.quantile(reach, 0.9), (errors <= reach).mean(), alone),
            )
        )
    names = ("mape", "worst", "kendall_tau", "half_width", "covered", "covered_by_rates_alone")
    row = {"anchors": count, **dict(zip(names, np.mean(figures, axis=0).tolist(), strict=True))}
    row["mape_sd"] = float(np.std(figures, axis=0)[0])
    enough = [f for f in FACTORS if (np.concatenate(needed) <= f).mean() >= 0.95]
    return row, float(enough[0]) if enough else float("inf")


def _covered_by_rates_alone(prior, anchors: list, works: np.ndarray, measured: np.ndarray) -> float:
    """Return the share within the interval of a model whose form is taken to be perfect."""
    model = fit(prior, anchors, 0.0)
    spreads = np.array([model.relative_sd(work) for work in works]) / analytical.WIDENING
    errors = np.abs(measured / (works @ model.coefficients_ms) - 1)
    return float((errors <= 1.96 * spreads).mean())


def _form_error(works: np.ndarray, measured: np.ndarray) -> float:
    """Return the root mean square error that is left when all networks are anchors."""
    prior = replace(find_target("iphone5s").estimation, spread=3.0)
    model = fit(prior, list(zip(works, measured, strict=True)))
    return float(np.sqrt(np.mean((works @ model.coefficients_ms / measured - 1) ** 2)))


def _line(row: dict) -> str:
    return (
        f"| `{row['target']}` | `{row['space']}` | {row['anchors']} | {row['mape']:.1%} | "
        f"{row['worst']:.0%} | {row['kendall_tau']:.3f} | {row['half_width']:.0%} | "
        f"{row['covered']:.0%} | {row['covered_by_rates_alone']:.0%} |"
    )


if __name__ == "__main__":
    main()
