"""Small bundles, and the harness run as a process of its own that does not find hwnas."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hwnas.bundle.models import maker_of
from hwnas.device import find_target
from hwnas.profiler.bundled import emit_bundle
from hwnas.profiler.plan import Plan, make_plan
from hwnas.progress import Silent
from hwnas.resources import shipped
from hwnas.spaces import RcnetSpace

if TYPE_CHECKING:
    from hwnas.bundle.manifest import Manifest

SPACE = RcnetSpace("rcnet-16px-10c-w0.25", 16, 10, 0.25)
HARNESS = shipped("export") / "linux" / "hwnas_bench.py"
WITHOUT_HWNAS = (
    "import runpy, sys; sys.modules['hwnas'] = None; sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def small_plan(*, rounds: int = 3) -> Plan:
    """Return the smallest plan whose table can pass the gate."""
    plan = make_plan(SPACE, calibration=14, validation=30)
    return replace(plan, passes=1, batch=22, rounds=rounds)


def emitted(folder: Path, target: str, *, rounds: int = 3) -> Manifest:
    """Write a small bundle of a target; equal ones are made once."""
    made, manifest = _made(target, rounds)
    shutil.copytree(Path(made.name) / "b", folder)
    return manifest


@lru_cache(maxsize=8)
def _made(target: str, rounds: int) -> tuple[TemporaryDirectory[str], Manifest]:
    folder, profile = TemporaryDirectory(), find_target(target)
    place, plan = Path(folder.name) / "b", small_plan(rounds=rounds)
    return folder, emit_bundle(place, profile, SPACE, plan, maker_of(profile), Silent())


def harness(
    bundle: Path, *options: str, python: str = sys.executable, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run the harness to its end."""
    command = [python, "-c", WITHOUT_HWNAS, str(HARNESS), str(bundle), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)
