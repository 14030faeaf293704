"""What works on this machine, and what to install for the rest."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwnas.device import describe_host
from hwnas.energy.counter import SYSFS, survey
from hwnas.errors import UserError

PACKAGES = {
    "torch": "pip install torch",
    "onnx": 'pip install "hwnas[onnx]"',
    "onnxruntime": 'pip install "hwnas[onnx]"',
    "ai-edge-litert": 'pip install "hwnas[tflite]"',
    "flatbuffers": 'pip install "hwnas[tflite]"',
    "coremltools": 'pip install "hwnas[coreml]"',
    "pyarrow": 'pip install "hwnas[data]"',
    "pillow": 'pip install "hwnas[data]"',
    "datasets": 'pip install "hwnas[data]"',
    "starlette": 'pip install "hwnas[agent]"',
    "uvicorn": 'pip install "hwnas[agent]"',
    "tensorboard": 'pip install "hwnas[tensorboard]"',
    "torchvision": 'pip install "hwnas[data]"',
}
MINIMUM_FREE_BYTES = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination.

    Attributes:
        name: what was looked at.
        state: "ok", "missing" or "note".
        detail: what was found.
        remedy: what to do, or empty.
    """

    name: str
    state: Literal["ok", "missing", "note"]
    detail: str
    remedy: str = ""


def doctor() -> list[Finding]:
    """Look at versions, runtimes, counters, GPU, cores and disk."""
    host = describe_host()
    return [
        Finding("python", "ok", sys.version.split()[0]),
        Finding("cpu", "ok", f"{host['cpu']}, {_cores()} usable cores"),
        *(_package(name, remedy) for name, remedy in PACKAGES.items()),
        _tflite_runtime(),
        _core_ml(),
        _gpu(),
        *energy_counters(),
        _governor(host["governor"]),
        _disk(),
    ]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _package(name: str, remedy: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", remedy)


def _tflite_runtime() -> Finding:
    """Find tflite-runtime where its shipped target looks for it."""
    from hwnas.targets.tflite import remote

    python = os.environ.get(remote.VARIABLE) or remote.DEFAULT_PYTHON
    if not Path(python).exists():
        return Finding("tflite-runtime", "note", f"no {python} (optional)", remote.SET_UP)
    try:
        return Finding("tflite-runtime", "ok", remote.RemoteRuntime(python).version())
    except UserError as error:
        return Finding("tflite-runtime", "note", str(error))


def _core_ml() -> Finding:
    if sys.platform == "darwin":
        return Finding("Core ML", "ok", "macOS")
    detail = "no macOS: .mlmodel files are written and checked, but not run by Apple's runtime"
    return Finding("Core ML", "note", detail)


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("GPU", "missing", "torch is not installed", PACKAGES["torch"])
    if torch.cuda.is_available():
        return Finding("GPU", "ok", torch.cuda.get_device_name())
    return Finding("GPU", "note", "none: training and search run on the CPU")


def energy_counters(root: Path = SYSFS) -> list[Finding]:
    """Return one finding for each power counter under `root`, usable or not."""
    found = survey(root)
    usable = [
        Finding("energy", "ok", f"{counter.name}: `hwnas profile` measures energy")
        for counter in found.counters
    ]
    closed = [Finding("energy", "missing", problem) for problem in found.unusable]
    none = Finding(
        "energy",
        "note",
        "no counter here",
        "a meter's log (`hwnas profile --power-log`), or `watts` in the profile for an estimate",
    )
    return [*usable, *closed] or [none]


def _governor(governor: str) -> Finding:
    if governor in ("performance", "not readable"):
        return Finding("governor", "ok", governor)
    remedy = "`cpupower frequency-set -g performance` makes timings steadier"
    return Finding("governor", "note", governor, remedy)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    state: Literal["ok", "missing"] = "ok" if free > MINIMUM_FREE_BYTES else "missing"
    remedy = "" if state == "ok" else "free some space"
    return Finding("disk", state, f"{free / 1e9:.0f} GB free here", remedy)
