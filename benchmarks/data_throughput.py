"""Images per second that are decoded and made into batches, beside torchvision's loader.

Both read the same JPEG files from one folder per class, with the same augmentation, into normalised
float batches. torchvision (ImageFolder, DataLoader with one worker per core) decodes in every
epoch; hwnas decodes once, into its cache, and draws batches from there. Without `--folder` the
files are made here, from two photographs that come with scikit-learn: random parts of them, so
that they are as hard to decode as photographs are.

    python benchmarks/data_throughput.py --out benchmarks/results/data_throughput.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

from hwnas import __version__
from hwnas.cores import usable_cores
from hwnas.data.augment import CROP_AREA
from hwnas.data.cache import VARIABLE
from hwnas.data.catalog import find_dataset
from hwnas.device import describe_host
from hwnas.progress import Silent

ROUNDS = 5
BATCH = 128
CLASSES = 8
CASES = (
    # what, height and width of the files, files, resolution of the batches
    ("photographs for ImageNet's size", (375, 500), 1024, 224),
    ("photographs for a proxy", (375, 500), 1024, 32),
    ("small images", (32, 32), 8192, 32),
)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="Class folders of images of your own.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for what, size, count, resolution in CASES:
        with tempfile.TemporaryDirectory() as temporary:
            os.environ[VARIABLE] = f"{temporary}/cache"
            folder = options.folder or _photographs(Path(temporary) / "images", size, count)
            rows.append({"case": what, "resolution": resolution, **_compare(folder, resolution)})
        _print(rows[-1])
    if options.out:
        about = {
            "hwnas": __version__,
            "torchvision": torchvision.__version__,
            "machine": describe_host(),
            "cores": usable_cores(),
            "torch_threads": torch.get_num_threads(),
            "batch": BATCH,
            "rows": rows,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(about, indent=2) + "\n")


def _photographs(folder: Path, size: tuple[int, int], count: int) -> Path:
    """Return class folders of JPEG files, each a random part of a photograph."""
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(array) for array in load_sample_images().images]
    rng = np.random.default_rng(0)
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        share = rng.uniform(0.5, 0.95)
        width, height = (round(share * side) for side in photograph.size)
        left = rng.integers(0, photograph.width - width)
        top = rng.integers(0, photograph.height - height)
        part = photograph.resize(size[::-1], box=(left, top, left + width, top + height))
        place = folder / f"class {number % CLASSES}" / f"{number:05}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        part.save(place, quality=90)
    return folder


def _compare(folder: Path, resolution: int) -> dict:
    data = find_dataset(f"folder:{folder}")
    files = [file for file in folder.rglob("*") if file.is_file()]
    began = time.perf_counter()
    data.prepare(resolution, Silent())
    decoding = len(files) / (time.perf_counter() - began)
    loader = _loader(folder, data, resolution)
    ours, theirs = [], []
    for number in range(ROUNDS):
        ours.append(_rate(data.train_batches(data.train_size, BATCH, resolution, number)))
        theirs.append(_rate(loader))
    rate, witness = statistics.median(ours), statistics.median(theirs)
    return {
        "files": len(files),
        "bytes_per_file": round(sum(file.stat().st_size for file in files) / len(files)),
        "stored_side": data.loaded(resolution)[0].pixels.shape[1],
        "decoded_once_images_per_s": decoding,
        "images_per_s": rate,
        "torchvision_images_per_s": witness,
        "ratio": rate / witness,
        "ratios": [a / b for a, b in zip(ours, theirs, strict=True)],
        # Decoding once, then drawing, against decoding every time.
        "epochs_to_break_even": (1 / decoding) / (1 / witness - 1 / rate),
    }


def _loader(folder: Path, data, resolution: int):
    """Return torchvision's batches of the same files, augmented in the same way."""
    crop = (
        v2.RandomCrop(resolution, padding=resolution // 8)
        if data.typical_side <= resolution
        else v2.RandomResizedCrop(resolution, scale=CROP_AREA)
    )
    transform = v2.Compose(
        [
            crop,
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(data.images.mean, data.images.std),
        ]
    )
    return torch.utils.data.DataLoader(
        torchvision.datasets.ImageFolder(folder, transform),
        batch_size=BATCH,
        shuffle=True,
        num_workers=usable_cores(),
        persistent_workers=True,
        generator=torch.Generator().manual_seed(0),
    )


def _rate(batches) -> float:
    """Return images per second from the first batch to the last: starting is left out."""
    count, began = 0, None
    for images, _ in batches:
        if began is None:
            began = time.perf_counter()
        else:
            count += len(images)
    return count / (time.perf_counter() - began)


def _print(row: dict) -> None:
    print(
        f"{row['case']:<32} {row['bytes_per_file'] / 1000:5.1f} kB a file, stored at "
        f"{row['stored_side']:>3}: decoded once {row['decoded_once_images_per_s']:>7,.0f}/s, "
        f"batches at {row['resolution']:>3} px {row['images_per_s']:>7,.0f}/s, torchvision "
        f"{row['torchvision_images_per_s']:>6,.0f}/s: {row['ratio']:.1f} times, pays after "
        f"{row['epochs_to_break_even']:.1f} epochs",
        flush=True,
    )


if __name__ == "__main__":
    main()
