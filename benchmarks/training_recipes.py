"""What the recipes of `hwnas train` come to within the same number of epochs.

One network of rcnet-digits with five blocks on cluttered digits, by recipe and seed, with all
numbers of a recipe as `hwnas train --recipe R --epochs N` has them. One thread throughout.

    python benchmarks/training_recipes.py --out FILE.json

Every training is written as soon as it is done, and its state is kept in --workspace; started
again with the same file and number of epochs, the script goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from dataclasses import asdict
from pathlib import Path

import torch

from hwnas.data.catalog import find_dataset
from hwnas.device import describe_host
from hwnas.errors import Interrupted, UserError
from hwnas.files import fingerprint, write_json
from hwnas.progress import Silent
from hwnas.spaces import find_space
from hwnas.train.environment import versions
from hwnas.train.full.checkpoint import Job
from hwnas.train.full.presets import Changes, full_recipe
from hwnas.train.full.training import train_final
from hwnas.train.world import ALONE

SPACE, DATASET = "rcnet-digits", "cluttered-digits"
ARCH = "5,5,0,0,0,0|5,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0"
"""The start network, and one block more."""
RECIPES = ("one-cycle", "cifar", "modern")
KEPT = ("accuracy", "accuracy_stderr", "cross_entropy", "validation", "images", "seconds", "best")
WHERE = ("device_name", "precision")


def train(arch: str, recipe: str, epochs: int, seed: int, workspace: Path) -> dict:
    """Train one network in full, or go on with it; return what it came to.

    Args:
        arch: as people write it.
        recipe: name of a preset.
        epochs: of any recipe.
        seed: of the initial weights and the batches.
        workspace: keeps the state of a training that was interrupted.
    """
    space, data = find_space(SPACE), find_dataset(DATASET)
    found = full_recipe(recipe, data.train_size, epochs, Changes(epochs=epochs))
    graph = space.graph(space.parse(arch))
    checkpoint = workspace / fingerprint(arch) / f"{recipe}-{epochs}-{seed}" / "checkpoint.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    result = train_final(Job(graph, data, found, seed, checkpoint), Silent()).to_json()
    return {
        "recipe": recipe,
        "seed": seed,
        **{name: result[name] for name in (*KEPT, *WHERE)},
        "numbers": asdict(found),
    }


def opened(path: Path, asked: dict) -> dict:
    """Return what the file holds already, or what a new one begins with.

    Raises:
        UserError: it is of something else than `asked`.
    """
    if not path.exists():
        return {**asked, "machine": describe_host(), "trainings": []}
    content: dict = json.loads(path.read_text())
    for name, value in asked.items():
        if content.get(name) != value:
            raise UserError(f"{path} is of {name}={content.get(name)}, not {value}: name another.")
    if content["machine"] != (here := describe_host()):
        raise UserError(f"{path} is of another machine ({content['machine']}, not {here}).")
    return content


def show(trainings: list[dict], recipe: str) -> None:
    """Print the mean over seeds and its standard error: over seeds, or over images for one."""
    done = [each for each in trainings if each["recipe"] == recipe]
    if not done:
        return
    found = [each["accuracy"] for each in done]
    error = done[0]["accuracy_stderr"]
    if len(found) > 1:
        error = statistics.stdev(found) / math.sqrt(len(found))
    print(f"{recipe:<10} {statistics.fmean(found):.2%} +- {error:.2%} ({len(found)} seeds)")


def run(content: dict, options: argparse.Namespace) -> None:
    """Train what `content` lacks, and write it after each training."""
    trainings = content["trainings"]
    known = {(each["recipe"], each["seed"]) for each in trainings}
    for seed in range(options.seeds):
        for recipe in options.only.split(","):
            if (recipe, seed) in known:
                continue
            trainings.append(train(options.arch, recipe, options.epochs, seed, options.workspace))
            write_json(options.out, content)
            print(f"{recipe} seed {seed}: {trainings[-1]['accuracy']:.2%}", flush=True)
    for recipe in options.only.split(","):
        show(trainings, recipe)


def main() -> None:
    """Train what is missing, print means, write every training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON; nothing is trained without it")
    parser.add_argument("--workspace", type=Path, default=Path("runs/training-recipes"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(RECIPES), help="recipes")
    parser.add_argument("--arch", default=ARCH, help=f"a network of {SPACE}")
    options = parser.parse_args()
    if options.out is None:
        print("skipped: takes long, and is of use only with --out FILE.json")
        return
    torch.set_num_threads(1)
    asked = {
        "space": SPACE,
        "arch": options.arch,
        "dataset": DATASET,
        "epochs": options.epochs,
        "versions": versions(ALONE.device),
    }
    try:
        run(opened(options.out, asked), options)
    except UserError as error:
        parser.error(str(error))
    except Interrupted as stopped:
        parser.exit(130, f"{stopped}\n")


if __name__ == "__main__":
    main()
