"""What tests of full training share: a small data set, a small network, the command."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import Done, environment
from PIL import Image
from pyarrow import parquet
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from hwnas.cli.app import app
from hwnas.spaces import find_space

SIZE, WIDTH = 8, 0.25
SPACE = find_space("rcnet", input_size=str(SIZE), classes=10, width=WIDTH)
ARCH = SPACE.format(SPACE.canonical(SPACE.start()))
GRAPH = SPACE.graph(SPACE.start())
HWNAS = ("-m", "hwnas")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *HWNAS)


def write_digits(folder: Path, train: int = 600, test: int = 200) -> Path:
    """Write scikit-learn's digits as Hugging Face Parquet files; returns their folder."""
    digits, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    for name, rows in (("train", order[:train]), ("test", order[-test:])):
        _write(folder / f"{name}-0.parquet", digits[rows], labels[rows])
    return folder


def _write(path: Path, digits: np.ndarray, labels: np.ndarray) -> None:
    names = [str(number) for number in range(10)]
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"image": [_png(digit) for digit in digits], "label": labels.tolist()})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(about), path)


def _png(digit: np.ndarray) -> dict[str, object]:
    stream = io.BytesIO()
    grey = np.round(digit.reshape(SIZE, SIZE) * 255 / 16).astype(np.uint8)
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def _children(parent: int) -> list[int]:
    """Return what a process has started: torchrun gives its processes sessions of their own."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # "pid (name) state ppid ...": a name may hold anything.
            if int(file.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(file.parent.name))
    return found


@dataclass(frozen=True)
class Trainer:
    """`hwnas train` on those digits, in one folder, as a user would type it."""

    folder: Path
    launcher: tuple[str, ...] = HWNAS

    def arguments(self, out: str, *more: str) -> list[str]:
        return [
            *("train", "--arch", ARCH, "--space", "rcnet", "--input", str(SIZE)),
            *("--classes", "10", "--width", str(WIDTH), "--dataset", "parquet:digits"),
            *("--batch-size", "32", "--out", out, *more),
        ]

    def start(self, out: str, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *self.launcher, *self.arguments(out, *more)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        """With one thread, as in the tests' own process: their number changes the last bits."""
        cache = str(self.folder / "cache")
        return {**environment(), "HWNAS_CACHE": cache, "OMP_NUM_THREADS": "1"}

    def __call__(self, out: str, *more: str) -> Done:
        """Train in this process."""
        return self.command(*self.arguments(out, *more))

    def command(self, *arguments: str) -> Done:
        """Run any command in this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setenv("HWNAS_CACHE", str(self.folder / "cache"))
            done = CliRunner().invoke(app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    def run(self, out: str, *more: str) -> Done:
        """Train in a process of its own."""
        with self.start(out, *more) as process:
            printed, told = process.communicate(timeout=300)
        return Done(process.returncode, printed, told)

    def kill_after(self, epochs: int, seconds: float, out: str, *more: str) -> bool:
        """Kill -9 so long after an epoch was noted; return whether it had not ended by then."""
        with self.start(out, *more) as process:
            while process.poll() is None and len(self.curve(out)) < epochs:
                time.sleep(0.01)
            time.sleep(seconds)
            running = process.poll() is None
            if running:
                for number in [process.pid, *_children(process.pid)]:
                    with suppress(ProcessLookupError):
                        os.kill(number, signal.SIGKILL)
            process.communicate()
        return running

    def curve(self, out: str) -> list[str]:
        """The lines of train.csv without the columns that tell times."""
        path = self.folder / out / "train.csv"
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        return [",".join(line.split(",")[:-2]) for line in lines]

    def about(self, out: str) -> Any:
        return json.loads((self.folder / out / "train.json").read_text())
