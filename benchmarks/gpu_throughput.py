"""Images per second of candidate training on one GPU: one at a time, recorded, side by side.

The plain loop launches every kernel of one network; "recorded" replays the step as a CUDA graph;
"N lanes" trains N networks at the same time on streams of one process. All do the same training
(same batches, same weights): the cross-entropies at the end are printed for comparison.

    python benchmarks/gpu_throughput.py --out benchmarks/results/gpu_throughput.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from hwnas import __version__
from hwnas.evaluate.setting import Setting
from hwnas.models.network import Network, initialise
from hwnas.spaces import PUBLISHED, find_space
from hwnas.train.lanes import side_by_side
from hwnas.train.loop import GPU_CHECK_STEPS, Training
from hwnas.train.metrics import measure
from hwnas.train.recipe import Recipe

CASES = (
    # name, space geometry, batch, steps, lanes to try
    ("S0, width 0.25, 16 px, batch 128", "16", 0.25, "s0", 128, 200, (8, 24)),
    ("RCNet, width 0.25, 16 px, batch 128", "16", 0.25, "rcnet", 128, 200, (8, 24)),
    ("RCNet, width 1, 32 px, batch 256", "32", 1.0, "rcnet", 256, 50, (4,)),
)


def seconds(setting: Setting, arch: str, recipe: Recipe, lanes: int, *, record: bool) -> dict:
    """Train `lanes` networks and return images per second and the first one's cross-entropy."""
    archs = [setting.space.parse(arch)] * lanes
    seconds, results = 0.0, []

    def work(number: int):
        network = Network(setting.space.graph(archs[number]))
        initialise(network, 0, still_branches=True)
        training = Training(network, recipe, setting.torch_device, record=record)
        batches = setting.batches(recipe.images, recipe.batch_size, 0)
        for _ in training.run(batches):
            if training.step % GPU_CHECK_STEPS == 0:
                yield
        return training

    list(setting.batches(recipe.images, recipe.batch_size, 0))
    for _ in range(2):  # the first time chooses kernels
        torch.cuda.synchronize()
        began = time.perf_counter()
        results = list(side_by_side(range(lanes), work, lanes, setting.torch_device))
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    trained = results[0][1]
    if isinstance(trained, Exception):
        raise trained
    loss = measure(trained.result, setting.held_out("search", 1000)).cross_entropy
    rate = lanes * recipe.images / seconds
    return {"lanes": lanes, "recorded": record, "images_per_s": rate, "cross_entropy": loss}


def main() -> None:
    """Print the table; write JSON after every row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("skipped: no CUDA GPU here")
        return
    rows: list[dict] = []
    for name, size, width, arch, batch, steps, counts in CASES:
        space = find_space("rcnet", input_size=size, classes=10, width=width)
        setting = Setting(space, "cluttered-digits", device="cuda")
        recipe = Recipe("bench", batch * steps, batch, 0.1, ema=0.98)
        text = PUBLISHED["rcnet-cifar100"] if arch == "rcnet" else arch
        plans = [(1, False, True), (1, True, False), (1, True, True)]
        plans += [(count, True, True) for count in counts]
        for lanes, record, tuned in plans:
            torch.backends.cudnn.benchmark = tuned
            row = seconds(setting, text, recipe, lanes, record=record)
            rows.append({"case": name, "kernels_timed": tuned, **row})
            kind = "plain loop" if not record else f"recorded, {lanes} lanes"
            kind += "" if tuned else ", kernels by rule"
            print(
                f"{name:<36} {kind:<36} {row['images_per_s']:>9,.0f} images/s"
                f"  cross-entropy {row['cross_entropy']:.4f}",
                flush=True,
            )
            if options.out:
                about = {
                    "hwnas": __version__,
                    "device": torch.cuda.get_device_name(),
                    "torch": torch.__version__,
                    "precision": "bfloat16 autocast, channels last",
                    "rows": rows,
                }
                options.out.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
