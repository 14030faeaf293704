"""Did a search find something, or noise? Its winner against its start network, trained long.

Both are trained with the full recipe from several seeds, on the run's own data and space, and
scored on the held-out images that are never used in a search. Prints mean and standard deviation
over the seeds, the gain and its standard error, and writes them as JSON.

    python benchmarks/search_gain.py runs/quickstart/runs/latest --seeds 3 --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
from pathlib import Path

from hwnas import __version__
from hwnas.data.catalog import find_dataset
from hwnas.device import describe_host
from hwnas.progress import Silent
from hwnas.spaces import find_space
from hwnas.train.full.checkpoint import Job
from hwnas.train.full.training import train_final
from hwnas.train.recipe import final_recipe


def accuracy(job: tuple[str, str, str, int, int]) -> float:
    """Train one network from one seed on one thread; return its held-out accuracy in percent."""
    import torch

    torch.set_num_threads(1)
    space_name, arch, dataset, epochs, seed = job
    space, data = find_space(space_name), find_dataset(dataset)
    recipe = final_recipe(data.train_size, epochs)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.pt"
        graph = space.graph(space.parse(arch))
        return 100 * train_final(Job(graph, data, recipe, seed, checkpoint), Silent()).accuracy


def main() -> None:
    """Read a run, train winner and start network, print and write the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/quickstart/runs/latest"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not (options.run / "search.json").is_file():
        sys.exit(print(f"skipped: {options.run} holds no finished search (make quickstart)"))
    search = json.loads((options.run / "search.json").read_text())
    dataset = json.loads((options.run / "request.json").read_text())["dataset"]
    archs = {"winner": search["arch"], "start": search["start"]["arch"]}
    jobs = [
        (search["space"], arch, dataset, options.epochs, seed)
        for arch in archs.values()
        for seed in range(100, 100 + options.seeds)
    ]
    with multiprocessing.get_context("spawn").Pool() as pool:
        found = pool.map(accuracy, jobs, chunksize=1)
    result = {
        name: found[index * options.seeds : (index + 1) * options.seeds]
        for index, name in enumerate(archs)
    }
    report(search, archs, result, options)


def report(
    search: dict, archs: dict[str, str], result: dict[str, list[float]], options: argparse.Namespace
) -> None:
    """Print the comparison and write it if asked."""
    spread = {name: statistics.stdev(values) for name, values in result.items()}
    mean = {name: statistics.fmean(values) for name, values in result.items()}
    gain, largest = mean["winner"] - mean["start"], max(spread.values())
    for name in archs:
        ms = (search if name == "winner" else search["start"])["costs"]["latency"]
        print(
            f"{name:<7} {mean[name]:.2f}% +- {spread[name]:.2f} (sd over {options.seeds} seeds)"
            f"  predicted {ms:.4g} ms  {archs[name]}"
        )
    verdict = "more" if gain > largest else "NOT more"
    print(f"gain {gain:+.2f} points: {verdict} than the seed-to-seed deviation of {largest:.2f}")
    if options.out:
        content = {
            "hwnas": __version__,
            "machine": describe_host(),
            "space": search["space"],
            "epochs": options.epochs,
            "networks": archs,
            "accuracy_percent": result,
            "gain_points": gain,
            "largest_sd_points": largest,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
