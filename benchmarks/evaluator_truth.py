"""Ground truth for candidate scores: 40 networks trained long from several seeds.

20 one-block additions to S0 and 20 networks along a path from S0 to the published RCNet, on two
data sets at width 0.25 and 16 px. `benchmarks/evaluators.py` judges every evaluator by them.

    python benchmarks/evaluator_truth.py --data-dir DIR --out FILE.json --minutes 9

Every training is written as soon as it is done; started again with the same file, the script goes
on where it stopped. DIR holds cifar10/*.parquet; without it that half is skipped.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from stacked_networks import StackedNetwork, stack_images, stacked_loss
from torch.nn import functional

from hwnas import __version__
from hwnas.evaluate.setting import Setting
from hwnas.models.network import Network, initialise
from hwnas.seeds import derive
from hwnas.spaces import PUBLISHED, Arch, find_space
from hwnas.spaces.fillings import STAGES
from hwnas.train.lanes import side_by_side
from hwnas.train.loop import GPU_CHECK_STEPS, Training
from hwnas.train.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data.dataset import Batch
    from hwnas.spaces.rcnet import RcnetSpace
    from hwnas.train.lanes import Work

SPACE = find_space("rcnet", input_size="16", classes=10, width=0.25)
ADDITIONS = PATH = 20
RECIPE = Recipe("truth", 1500 * 128, 128, 0.2, ema=0.99)

Metrics: TypeAlias = tuple[float, float]
"""Accuracy and cross-entropy."""


def one_block_additions(space: RcnetSpace = SPACE) -> list[Arch]:
    """Return 20 of the 36 distinct networks of one block more than S0, all stages among them."""
    start = space.start()
    everything = {space.canonical(space.add(start, e)): e for e in space.elements(start)}
    archs = list(everything)
    rng = np.random.default_rng(0)
    order = [archs[index] for index in rng.permutation(len(archs))]
    turn = dict.fromkeys(range(STAGES), 0)
    ranked = []
    for arch in order:
        stage = everything[arch][0] // 6
        ranked.append((turn[stage], len(ranked), arch))
        turn[stage] += 1
    return [arch for *_, arch in sorted(ranked)[:ADDITIONS]]


def path(space: RcnetSpace = SPACE) -> list[Arch]:
    """Return S0 and 19 networks that each have one block more, RCNet's in a random order."""
    goal, arch = space.parse(PUBLISHED["rcnet-cifar100"]), space.start()
    missing = [(place, block) for place, block in enumerate(goal) if block and not arch[place]]
    order = np.random.default_rng(1).permutation(len(missing))
    elements = [*(missing[index] for index in order), (30, 4)]
    archs = [space.canonical(arch)]
    for element in elements[: PATH - 1]:
        arch = space.add(arch, element)
        archs.append(space.canonical(arch))
    return archs


@dataclass(frozen=True)
class Job:
    """Copies of one network on one data set.

    Attributes:
        dataset: its name.
        arch: the network.
        copies: trainings in one program, each with its own weights and batches.
        group: number of the group of seeds; batches are the same for all networks of a group.
    """

    dataset: str
    arch: Arch
    copies: int
    group: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What the trainings of this job have in common in the file of results."""
        return self.dataset, SPACE.format(self.arch), self.group


def jobs(names: list[str], groups: int) -> list[Job]:
    """Return all jobs, the most telling ones first and the long ones before the short ones."""
    few = {SPACE.start(), *one_block_additions()}
    kinds = [(8, few), (4, set(path()) - few)]
    return [
        Job(name, SPACE.canonical(arch), copies, group)
        for group in range(groups)
        for name in names
        for copies, archs in kinds
        for arch in sorted(archs, key=lambda a: -SPACE.graph(a).madds)
    ]


def long_training(job: Job, setting: Setting, recipe: Recipe) -> Work[list[Metrics]]:
    """Train the copies and score each on images that no search sees."""
    networks = []
    for copy in range(job.copies):
        networks.append(Network(SPACE.graph(job.arch)))
        initialise(networks[-1], derive(1000, job.group, copy), still_branches=True)
    stacked = StackedNetwork(networks)
    loss = partial(stacked_loss, stacked)
    training = Training(stacked, recipe, setting.torch_device, loss=loss)
    for _ in training.run(batches(setting, recipe, job.copies, job.group)):
        if training.step % GPU_CHECK_STEPS == 0:
            yield
    return scores(training.result.eval(), setting.held_out("final", 10_000), job.copies)


@lru_cache(maxsize=2)
def batches(setting: Setting, recipe: Recipe, copies: int, group: int) -> list[Batch]:
    """Return stacked batches: every copy its own images, every network the same."""
    drawn = setting.data.train_batches(
        copies * recipe.images,
        copies * recipe.batch_size,
        SPACE.resolution,
        derive(1000, group),
        device=setting.torch_device,
    )
    stacked = [(stack_images(images.chunk(copies)), labels) for images, labels in drawn]
    if setting.device == "cuda":
        torch.cuda.synchronize()
    return stacked


@torch.inference_mode()
def scores(network: nn.Module, held_out: list[Batch], copies: int) -> list[Metrics]:
    """Return accuracy and cross-entropy of every copy."""
    parts = [
        part for batch in held_out for part in zip(*(t.split(500) for t in batch), strict=True)
    ]
    logits = torch.cat([network(x.repeat(1, copies, 1, 1)).float() for x, _ in parts], dim=1)
    labels = torch.cat([labels for _, labels in parts])
    right = (logits.argmax(-1) == labels).double().mean(1)
    losses = [functional.cross_entropy(own, labels).item() for own in logits]
    return list(zip(right.tolist(), losses, strict=True))


def main() -> None:
    """Train group after group until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--groups", type=int, default=1, help="of eight or four seeds")
    parser.add_argument("--lanes", type=int, default=6)
    parser.add_argument("--images", type=int, help="fewer, for a trial")
    options = parser.parse_args()
    if options.out is None:
        print("skipped: takes long, and is of use only with --out FILE.json")
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names = ["cluttered-digits", *(["cifar10"] if options.data_dir else [])]
    recipe = RECIPE if not options.images else replace(RECIPE, images=options.images, batch_size=32)
    settings = {name: Setting(SPACE, name, options.data_dir, device) for name in names}
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results.setdefault("trainings", [])
    results |= {
        "hwnas": __version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "precision": "bfloat16 autocast" if device == "cuda" else "float32",
        "recipe": asdict(recipe),
    }
    done = {(t["dataset"], t["arch"], t["group"]) for t in results["trainings"]}
    began = written = time.monotonic()
    end = began + 60 * options.minutes
    missing = (job for job in jobs(names, options.groups) if job.key not in done)
    work = side_by_side(
        (job for job in missing if time.monotonic() < end),
        lambda job: long_training(job, settings[job.dataset], recipe),
        options.lanes,
        torch.device(device),
    )
    for job, outcome in work:
        dataset, arch, group = job.key
        entry = {"dataset": dataset, "arch": arch, "group": group}
        if isinstance(outcome, Exception):
            entry["failed"] = f"{type(outcome).__name__}: {outcome}"
        else:
            accuracies, losses = zip(*outcome, strict=True)
            entry |= {"accuracy": list(accuracies), "cross_entropy": list(losses)}
        results["trainings"].append(entry)
        if time.monotonic() > written + 5:
            written = time.monotonic()
            options.out.write_text(json.dumps(results))
            print(f"{written - began:6.0f} s  {len(results['trainings'])}  {entry}", flush=True)
    results["seconds"] = results.get("seconds", 0.0) + time.monotonic() - began
    options.out.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
