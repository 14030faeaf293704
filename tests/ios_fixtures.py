"""What the Swift tests of export/ios read: documents and vectors that Python computed.

`python tests/ios_fixtures.py` writes the files again; tests/test_ios.py checks that they are these.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.bundle import probe
from hwnas.bundle.manifest import (
    Job,
    Manifest,
    NetworkPlan,
    Protocol,
    Setup,
    TensorFacts,
    TimedModel,
)
from hwnas.targets.shared.artifact import Artifact

HARNESS = Path(__file__).parent.parent / "export/ios"
CORE = HARNESS / "HwnasBenchCore"
SOURCES = CORE / "Sources/HwnasBenchCore"
FIXTURES = CORE / "Tests/HwnasBenchCoreTests/Fixtures"

SHAPES = {"part": 7, "reference": 100, "network-a": 5, "network-b": 64, "network-c": 1}
"""How many values each model of the bundle gives."""


def written() -> dict[str, bytes]:
    """Return the content of every file that Python writes, by path."""
    models = {f"bundle/models/{m.sha256}.mlmodel": _content(n) for n, m in _models().items()}
    manifest = manifest_document().model_dump_json(by_alias=True, indent=1)
    vectors = json.dumps(_vectors(), indent=1)
    return models | {
        "bundle/manifest.json": f"{manifest}\n".encode(),
        "vectors.json": f"{vectors}\n".encode(),
    }


def manifest_document() -> Manifest:
    """Return a manifest of three jobs whose models are texts, for a runtime of the tests' own."""
    return Manifest(
        bundle="f1c7a5e0",
        created="2026-01-01T00:00:00+00:00",
        hwnas="0",
        geometry={"family": "rcnet", "resolution": 16, "width": 0.25},
        setup=Setup(
            target="iphone",
            space="rcnet-digits",
            runtime="coreml",
            format="coreml",
            precision="fp32",
            threads=2,
            compute_units="cpu",
        ),
        protocol=Protocol(warm_up_rounds=2, warm_up_s=0.05, cool_down_s=3.0),
        plan=NetworkPlan(
            calibration=("network-a", "network-b"),
            validation=("network-c",),
            passes=1,
            batch=2,
            rounds=3,
        ),
        panel=("part", "reference"),
        models=_models(),
        suffix=".mlmodel",
        jobs=(
            Job(number=0, networks=("network-a", "network-b"), rounds=3),
            Job(number=1, networks=("network-c",), rounds=3),
            Job(number=7, networks=(), rounds=2),
        ),
    )


def _models() -> dict[str, TimedModel]:
    return {name: _model(name, count) for name, count in SHAPES.items()}


def _model(name: str, count: int) -> TimedModel:
    """Return a model that gives the probe's values times the length of its name."""
    artifact = Artifact.single(_content(name))
    output = probe.given((count,), "float32") * len(name)
    return TimedModel(
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        input=TensorFacts(shape=(1, 2, 3), dtype="float32"),
        output=TensorFacts(shape=(count,), dtype="float32"),
        expected=probe.sampled(output),
        tolerance=0.001,
    )


def _content(name: str) -> bytes:
    return f"model {name}".encode()


def _vectors() -> dict[str, Any]:
    halves = [0.0, -0.0, 1.0, -1.0, 65504.0, 65519.9, 65520.0, 6e-8, 2.9e-8, 2.98e-8, 6.1035e-5]
    halves += [1 + 2**-11, 1 + 3 * 2**-11, 2.0**-14 - 2.0**-26, 0.1, -3.14159, 1e-30]
    halves += [float(value) for value in probe.given((40,), "float32")]
    messages = {length: bytes(i % 251 for i in range(length)) for length in _LENGTHS}
    with np.errstate(over="ignore"):  # one is beyond the range, on purpose
        bits = np.array(halves, np.float64).astype(np.float16).view(np.uint16).tolist()
    return {
        "probe": [float(value) for value in probe.given((70,), "float32")],
        "positions": {str(n): probe.positions(n) for n in (1, 2, 63, 64, 65, 100, 1000, 50176)},
        "distance": probe.distance((1.0, 2.0, -2.0), (1.0, 2.5, -2.0)),
        "halves": {"values": halves, "bits": bits},
        "sha256": {str(n): hashlib.sha256(message).hexdigest() for n, message in messages.items()},
        "folder": {"files": _FOLDER, "sha256": _folder().sha256},
    }


_LENGTHS = (0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1000, 300_000)

_FOLDER = {
    "Manifest.json": "{}",
    "Data/com.apple.CoreML/model.mlmodel": "program",
    "Data/com.apple.CoreML/weights/weight.bin": "weights",
    "Data/com.apple.CoreML-next": "sorts before the folder of that name, by its bytes",
    "Data/~": "the last of ASCII",
    "data": "lower case after upper case",
}


def _folder() -> Artifact:
    return Artifact({name: text.encode() for name, text in _FOLDER.items()})


if __name__ == "__main__":
    for _name, _bytes in written().items():
        _path = FIXTURES / _name
        _path.parent.mkdir(parents=True, exist_ok=True)
        _path.write_bytes(_bytes)
