"""Until the classes of a folder of images are known: hwnas beside Hugging Face's `datasets`.

Small files in class folders, made here; each reader runs in a process of its own, twice: `datasets`
keeps what it found in a cache, hwnas looks anew. Then the same folder with one loose picture
beside the class folders, which people's folders have: how many labels does either still know?

    python benchmarks/image_folders.py --files 200000 --out benchmarks/results/image_folders.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from hwnas import __version__
from hwnas.device import describe_host

CLASSES = 100
READERS = {
    "hwnas": """
import sys
from pathlib import Path
from hwnas.data.sources.folder import folder_parts
train = folder_parts(Path(sys.argv[1])).train
print(len(train.labels) if len(train.classes) else 0)
""",
    "datasets": """
import sys
from datasets import load_dataset
split = load_dataset("imagefolder", data_dir=sys.argv[1], split="train")
label = split.features.get("label")
print(len(label.names) if label is not None else 0)
""",
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary) / "images", Path(temporary) / "cache"
        _write(folder, options.files)
        rows = [
            {"reader": reader, "run": run, **_read(reader, folder, cache)}
            for run in ("first", "second")
            for reader in READERS
        ]
        (folder / "contact-sheet.png").write_bytes(next(folder.glob("*/*.png")).read_bytes())
        rows += [
            {"reader": reader, "run": "one loose picture", **_read(reader, folder, cache)}
            for reader in READERS
        ]
    for row in rows:
        print("; ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        from importlib.metadata import version

        about = {
            "hwnas": __version__,
            "datasets": version("datasets"),
            "machine": describe_host(),
            "files": options.files,
            "classes": CLASSES,
        }
        options.out.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


def _write(folder: Path, files: int) -> None:
    """Write small noise images, so many in each class folder."""
    rng = np.random.default_rng(0)
    for number in range(files):
        place = folder / f"class {number % CLASSES:03}" / f"{number:06}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place)


def _read(reader: str, folder: Path, cache: Path) -> dict:
    """Return seconds, processor seconds, and the number of labels that are known then."""
    environment = {**os.environ, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", READERS[reader], str(folder)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_s": round(time.perf_counter() - began, 2),
        "cpu_s": round(spent, 2),
        "labels": int(done.stdout.split()[-1]),
    }


if __name__ == "__main__":
    main()
