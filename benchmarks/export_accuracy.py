"""Top-1 of one trained network in every format and precision."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hwnas.data.catalog import find_dataset
from hwnas.progress import Silent
from hwnas.spaces import find_space
from hwnas.targets.formats import FORMATS, find_format
from hwnas.targets.shared.format import PRECISIONS
from hwnas.train.full.checkpoint import Job
from hwnas.train.full.training import train_final
from hwnas.train.recipe import final_recipe
from hwnas.workflows.export.checked_file import hand_over
from hwnas.workflows.export.from_graph import emitted
from hwnas.workflows.export.options import ExportOptions
from hwnas.workflows.winner import Winner

SPACE = find_space("rcnet", input_size="32", classes=10, width=0.25)
ARCH = "5,1,0,0,0,0|5,2,0,0,0,0|5,4,0,0,0,0|0,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0"
EPOCHS = 3
IMAGES = 2000


def accuracies(data: Path) -> list[dict]:
    """Train on CIFAR-10, export in everything, return accuracy on held-out images.

    Args:
        data: folder with cifar10/*.parquet.
    """
    dataset = find_dataset("cifar10", data)
    arch = SPACE.canonical(SPACE.parse(ARCH))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.pt"
        recipe = final_recipe(dataset.train_size, EPOCHS)
        result = train_final(Job(SPACE.graph(arch), dataset, recipe, 0, checkpoint), Silent())
        print(f"\ntrained {EPOCHS} epochs of CIFAR-10: top-1 {result.accuracy:.1%}\n")
        winner = Winner(SPACE, arch, dataset="cifar10", data_dir=data, checkpoint=checkpoint)
        print("| format | precision | top-1 | float32 | same class |")
        print("|---|---|---:|---:|---:|")
        for form in FORMATS:
            for precision in PRECISIONS[1:]:
                draft = emitted(winner, find_format(form), precision, {}, Silent())
                options = ExportOptions(images=IMAGES, max_drop=100)
                rows.append(_row(hand_over(draft, options, Path(folder), Silent())))
    return rows


def _row(about: dict) -> dict:
    accuracy = about["precision_effect"]["accuracy"]
    print(
        f"| `{about['format']}` | {about['precision']} | "
        f"{accuracy['top1']:.2%} | {accuracy['float_top1']:.2%} | {accuracy['agreement']:.2%} |",
        flush=True,
    )
    keep = ("format", "precision")
    return {**{name: about[name] for name in keep}, **accuracy}
