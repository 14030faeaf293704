"""How well `hwnas lut fit` predicts whole networks, against the number of networks it is given.

Beside it, on the same networks: ordinary least squares on one-hot features (of least norm where
they do not determine it), and ridge regression on the same with its penalty by cross-validation.
Grids come from any CSV (--grid), RCNet networks from network_timings.py (--timings). Each size is
repeated over random splits; errors are on networks that no method has seen.

    python benchmarks/lut_fit.py --grid fbnet_cifar100.csv.gz --ops b0,...,b21 --empty 8 \
        --latency gold_6226_ms samsung_a50_ms --timings FILE.json --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from hwnas.device import describe_host
from hwnas.lut.accuracy import compare
from hwnas.lut.additive import fit_parts
from hwnas.lut.correction import count_matrix, part_structure
from hwnas.lut.grid import Grid, explained, fit_elements
from hwnas.lut.timing_files import read_grid
from hwnas.spaces import find_space

SIZES = (30, 50, 100, 200, 500, 1000, 2000, 4000)
RCNET_SIZES = (20, 30, 60, 120)
PENALTIES = np.logspace(-3, 4, 29)
FOLDS = 5
RIDGE, FIT, LEAST_SQUARES = "ridge, one-hot", "hwnas lut fit", "least squares, one-hot"


def main() -> None:
    """Read, fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=Path)
    parser.add_argument("--ops", help="op columns, comma-separated")
    parser.add_argument("--empty", help="op that takes no time")
    parser.add_argument("--latency", nargs="+", default=[], help="latency columns")
    parser.add_argument("--timings", type=Path, help="of network_timings.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--test", type=int, default=1000, help="held-out networks of a grid")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = []
    for name, path, run in (
        ("grid", options.grid, _grid),
        ("timings", options.timings, _rcnet),
    ):
        if path is None or not path.is_file():
            print(f"skipped: --{name} {path or 'FILE'} is not there")
            continue
        results += run(path, options)
    if options.out and results:
        content = {"machine": describe_host(), "splits": options.splits, "results": results}
        options.out.write_text(json.dumps(content, indent=1) + "\n")


def _grid(path: Path, options: argparse.Namespace) -> list[dict]:
    results = []
    for latency in options.latency:
        timings = read_grid(path, options.ops.split(","), latency)
        grid = Grid.of(timings.ops, options.empty)

        def fit(counts: np.ndarray, ms: np.ndarray, grid=grid, step=timings.step_ms) -> np.ndarray:
            return fit_elements(counts, grid, ms, step).parts_ms

        title = f"{path.name.split('.')[0]}, {latency}"
        sizes = [size for size in options.sizes if size + options.test <= len(timings.times_ms)]
        results += _compare(title, fit, grid.counts, timings.times_ms, sizes, options)
    return results


def _rcnet(path: Path, options: argparse.Namespace) -> list[dict]:
    results = []
    for record in json.loads(path.read_text())["timings"]:
        space = find_space(record["space"])
        structure = part_structure(space)
        networks = [space.parts(space.parse(arch)) for arch in record["latency_ms"]]
        counts = count_matrix(space.lookup_keys(), networks)
        measured = np.array(list(record["latency_ms"].values()))

        def fit(counts: np.ndarray, ms: np.ndarray, structure=structure) -> np.ndarray:
            return fit_parts(structure, counts, ms).parts_ms

        title = f"{record['space']}, {record['target']}"
        sizes = [size for size in RCNET_SIZES if size + 30 <= len(measured)]
        noise = f" (split-half noise of a time: {record['split_half_noise']:.1%})"
        results += _compare(title, fit, counts, measured, sizes, options, note=noise)
    return results


def _compare(
    title: str,
    fit,
    counts: np.ndarray,
    measured: np.ndarray,
    sizes: list[int],
    options: argparse.Namespace,
    note: str = "",
) -> list[dict]:
    print(f"\n{title}{note}\n")
    print("| networks | method | MAPE | median error | Kendall tau | R2 | seconds |")
    print("|---:|---|---:|---:|---:|---:|---:|", flush=True)
    rows = []
    for size in sizes:
        found: dict[str, list] = {}
        for number in range(options.splits):
            order = np.random.default_rng([number, size]).permutation(len(measured))
            train, test = order[:size], order[size:][-options.test :]
            for name, method in ((FIT, fit), (RIDGE, ridge), (LEAST_SQUARES, least_squares)):
                start = time.monotonic()
                parts = method(counts[train], measured[train])
                took = time.monotonic() - start
                found.setdefault(name, []).append(
                    [*_errors(counts[test] @ parts, measured[test]), took]
                )
        for name, values in found.items():
            mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
            row = {"data": title, "networks": size, "method": name}
            for index, figure in enumerate(("mape", "median_error", "tau", "r2", "seconds")):
                row |= {figure: float(mean[index]), f"{figure}_sd": float(spread[index])}
            rows.append(row)
            print(
                f"| {size} | {name} | {row['mape']:.2%} +- {row['mape_sd']:.2%} | "
                f"{row['median_error']:.2%} | {row['tau']:.3f} | {row['r2']:.3f} | "
                f"{row['seconds']:.2f} |",
                flush=True,
            )
    return rows


def _errors(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    accuracy = compare(predicted, truth)
    median = float(np.median(np.abs(predicted / truth - 1)))
    return accuracy.mape, median, accuracy.kendall_tau, explained(predicted, truth)


def least_squares(counts: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """Return the coefficients of least norm that minimise the squared error."""
    return np.linalg.lstsq(counts, ms, rcond=None)[0]


def ridge(counts: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """Return ridge coefficients; the fixed part is not penalised, the penalty is validated."""
    fold = np.arange(len(ms)) % FOLDS
    errors = np.zeros(len(PENALTIES))
    for held_out in range(FOLDS):
        train = fold != held_out
        paths = _ridge_path(counts[train], ms[train])
        errors += np.abs(counts[~train] @ paths / ms[~train][:, None] - 1).sum(axis=0)
    return _ridge_path(counts, ms)[:, int(np.argmin(errors))]


def _ridge_path(counts: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """Return (parts, penalties) coefficients; the mean is taken out of every other column."""
    centre, mean = counts[:, 1:].mean(axis=0), ms.mean()
    left, sizes, right = np.linalg.svd(counts[:, 1:] - centre, full_matrices=False)
    shrunk = (sizes[:, None] / (sizes[:, None] ** 2 + PENALTIES)) * (left.T @ (ms - mean))[:, None]
    slopes = right.T @ shrunk
    return np.vstack([mean - centre @ slopes, slopes])


if __name__ == "__main__":
    main()
