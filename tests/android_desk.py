"""A small bundle, fake phones, and the Android harness as a user types it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from phones import ELF_ARM64, Phones

from hwnas.bundle.manifest import Job, Manifest, NetworkPlan, Protocol, Setup
from hwnas.bundle.models import maker_of
from hwnas.bundle.results import RESULTS_FILE, Results
from hwnas.device import find_target
from hwnas.resources import shipped
from hwnas.spaces import find_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hwnas.bundle.manifest import TimedModel
    from hwnas.targets.shared.artifact import Artifact

HARNESS = shipped("export") / "android" / "hwnas_android.py"
ROUNDS, PANEL, NETWORKS = 2, 2, 2


def load_harness() -> Any:
    spec = importlib.util.spec_from_file_location("hwnas_android", HARNESS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


harness = load_harness()


@lru_cache(maxsize=1)
def small_models() -> dict[str, tuple[Artifact, TimedModel]]:
    """Some parts of a space, its start network as reference, and other networks, by name."""
    space, maker = find_space("rcnet-digits"), maker_of(find_target("android"))
    rng = np.random.default_rng(3)
    graphs = {str(key): space.part_graph(key) for key in space.lookup_keys()[:PANEL]}
    graphs["reference"] = space.graph(space.start())
    for arch in [space.sample(rng) for _ in range(NETWORKS)]:
        graphs[space.format(arch)] = space.graph(arch)
    return {name: maker.make(graph) for name, graph in graphs.items()}


@dataclass
class Desk:
    """A bundle, phones, and the harness as a user types it."""

    phones: Phones
    bundle: Path
    tool: Path

    def start(self, *options: str, tool: bool = True) -> subprocess.Popen[str]:
        given = ["--benchmark-model", str(self.tool)] if tool else []
        return subprocess.Popen(
            [sys.executable, str(HARNESS), str(self.bundle), *given, *options],
            cwd=self.bundle.parent,
            env=self.phones.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *options: str, code: int = 0, tool: bool = True) -> str:
        out, err = (process := self.start(*options, tool=tool)).communicate(timeout=120)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out + err

    def refused(self, *options: str, code: int = 2, tool: bool = True) -> str:
        """Return the one line of an error."""
        told = self(*options, code=code, tool=tool)
        (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
        return line

    @property
    def manifest(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.bundle / "manifest.json").read_text())
        return loaded

    def change(self, **values: Any) -> None:
        text = json.dumps({**self.manifest, **values})
        (self.bundle / "manifest.json").write_text(text)

    @property
    def results(self) -> Results:
        return Results.model_validate_json((self.bundle / RESULTS_FILE).read_bytes())


@contextmanager
def desk_in(folder: Path) -> Iterator[Desk]:
    """Write the bundle, and let phones be attached that run it."""
    models = small_models()
    bundle = folder / "bundle"
    (bundle / "models").mkdir(parents=True)
    for artifact, model in models.values():
        artifact.write(bundle / "models" / f"{model.sha256}.tflite")
    names = list(models)
    panel, networks = names[: PANEL + 1], names[PANEL + 1 :]
    manifest = Manifest(
        bundle="0a1b2c3d",
        created="2026-01-01T00:00:00Z",
        hwnas="0",
        geometry={"space": "rcnet-digits"},
        setup=Setup(
            target="android",
            space="rcnet-digits",
            runtime="tflite",
            format="tflite",
            precision="fp32",
            threads=1,
        ),
        protocol=Protocol(warm_up_s=0.01),
        plan=NetworkPlan(
            calibration=tuple(networks[:1]),
            validation=tuple(networks[1:]),
            passes=1,
            batch=2,
            rounds=ROUNDS,
        ),
        panel=tuple(panel),
        models={name: model for name, (_, model) in models.items()},
        suffix=".tflite",
        jobs=(
            Job(number=0, networks=tuple(networks[:1]), rounds=ROUNDS),
            Job(number=1, networks=tuple(networks[1:]), rounds=ROUNDS),
        ),
    )
    (bundle / "manifest.json").write_text(manifest.model_dump_json(by_alias=True))
    tool = folder / "android_aarch64_benchmark_model"
    tool.write_bytes(ELF_ARM64)
    with Phones(folder / "p") as phones:
        yield Desk(phones, bundle, tool)
