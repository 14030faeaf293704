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
import resource
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
from hwnas.data.images import LabelledImages
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
        left = int(rng.integers(0, photograph.width - width))
        top = int(rng.integers(0, photograph.height - height))
        part = photograph.resize(size[::-1], box=(left, top, left + width, top + height))
        place = folder / f"class {number % CLASSES}" / f"{number:05}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        part.save(place, quality=90)
    return folder


def _compare(folder: Path, resolution: int) -> dict:
    data = find_dataset(f"folder:{folder}")
    assert isinstance(data, LabelledImages)
    files = [file for file in folder.rglob("*") if file.is_file()]
    before, began = _cpu_s(), time.perf_counter()
    data.prepare(resolution, Silent())
    once = {
        "images_per_s": len(files) / (time.perf_counter() - began),
        "cpu_ms_per_image": 1e3 * (_cpu_s() - before) / len(files),
    }
    loader = _loader(folder, data, resolution)
    ours, theirs = [], []
    for number in range(ROUNDS):
        ours.append(_epoch(data.train_batches(data.train_size, BATCH, resolution, number)))
        theirs.append(_epoch(loader))
    batches, witness = _medians(ours), _medians(theirs)
    spent, wall = (
        [pair[0][name] / pair[1][name] for pair in zip(ours, theirs, strict=True)]
        for name in ("cpu_ms_per_image", "images_per_s")
    )
    saved = witness["cpu_ms_per_image"] - batches["cpu_ms_per_image"]
    return {
        "files": len(files),
        "bytes_per_file": round(sum(file.stat().st_size for file in files) / len(files)),
        "stored_side": data.loaded(resolution)[0].pixels.shape[1],
        "decoding_once": once,
        "batches": batches,
        "torchvision": witness,
        "faster": statistics.median(wall),
        "faster_per_round": wall,
        "less_cpu_time": 1 / statistics.median(spent),
        "less_cpu_time_per_round": [1 / share for share in spent],
        # Decoding once, then drawing, against decoding every time.
        "epochs_until_decoding_pays": once["cpu_ms_per_image"] / saved,
    }


def _medians(rounds: list[dict]) -> dict:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def _cpu_s() -> float:
    """Return the processor time of this process and of those that it started and that ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _loader(folder: Path, data, resolution: int):
    """Return torchvision's batches of the same files, augmented in the same way."""
    crop = (
        v2.RandomCrop(resolution, padding=resolution // 8)
        if data.form.typical_side <= resolution
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
        generator=torch.Generator().manual_seed(0),
    )


def _epoch(batches) -> dict:
    """Return images per second from the first batch on, and processor time of all of it."""
    before, count, timed, began = _cpu_s(), 0, 0, None
    for images, _ in batches:
        count += len(images)
        if began is None:
            began = time.perf_counter()
        else:
            timed += len(images)
    elapsed = time.perf_counter() - began
    return {
        "images_per_s": timed / elapsed,
        "cpu_ms_per_image": 1e3 * (_cpu_s() - before) / count,
    }


def _print(row: dict) -> None:
    print(
        f"{row['case']}: {row['bytes_per_file'] / 1000:.1f} kB a file, stored at "
        f"{row['stored_side']} px, batches at {row['resolution']} px"
    )
    for name in ("decoding_once", "batches", "torchvision"):
        values = row[name]
        print(
            f"  {name.replace('_', ' '):<14} {values['images_per_s']:>8,.0f} images/s, "
            f"{values['cpu_ms_per_image']:.3f} ms of a processor each"
        )
    print(
        f"  {row['faster']:.1f} times as fast, {row['less_cpu_time']:.1f} times less processor "
        f"time; decoding once pays after {row['epochs_until_decoding_pays']:.1f} epochs",
        flush=True,
    )


if __name__ == "__main__":
    main()
