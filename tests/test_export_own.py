"""A user's own torch module: converted, checked, and refused when it comes out wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

from hwnas.errors import CheckFailed, MissingPackage, UserError
from hwnas.models.own import load_own
from hwnas.progress import Silent
from hwnas.workflows import export_model as own_exports
from hwnas.workflows.export_model import Asked, export_model

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shell

    from hwnas.targets.artifact import Artifact

OWN = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, 1, 1, groups=4), nn.ReLU(),
        )
        self.classifier = nn.Linear(8, 5)

    def forward(self, x):
        x = self.features(x)
        left, right = x.chunk(2, dim=1)
        return self.classifier(torch.cat([right, left * 2], 1).mean((2, 3)))

def build():
    torch.manual_seed(0)
    return Small()

class Spectrum(nn.Module):
    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(3, 5)

    def forward(self, x):
        return self.classifier(torch.fft.fft2(x).abs().mean((2, 3)))

def not_convertible():
    return Spectrum()

def tuple_out():
    return nn.Identity()

def fails():
    raise RuntimeError("no weights here")

def number():
    return 3
"""


VISION = """
import torchvision

def net():
    return torchvision.models.mobilenet_v3_small(num_classes=7)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "my_net.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(("form", "precision"), [
    ("onnx", "fp32"), ("mlprogram", "fp32"), ("mlprogram", "fp16"),
])  # fmt: skip
def test_a_module_of_ones_own_is_converted_and_checked(
    own: Path, form: str, precision: str, tmp_path: Path
) -> None:
    model = load_own(f"{own}:build", (3, 32, 32))
    assert (model.name, model.classes) == ("my_net", 5)
    about = export_model(model, Asked(form, precision), tmp_path / "out", Silent())
    assert (tmp_path / about["file"]).exists()
    limit = 1e-4 if precision == "fp32" else 1e-2
    assert about["parity"]["max_rel"] <= limit
    assert about["parity"]["top1_agreement"] == 1


needs_litert_torch = pytest.mark.skipif(
    importlib.util.find_spec("litert_torch") is None,
    reason='litert-torch is not installed (1.1 GB): pip install "litert-torch>=0.10"',
)


@needs_litert_torch
def test_a_module_becomes_tflite_by_the_command_and_is_timed(own: Path, shell: Shell) -> None:
    """Through the command itself: what litert-torch prints must not reach the terminal."""
    export = ("export", "--model", f"{own}:build", "--input", "3x32x32", "--format", "tflite")
    done = shell(*export, "--json").must()
    assert done.err.splitlines() == ["litert-torch converts my_net ..."]
    about = done.json
    assert about["parity"]["max_rel"] <= 1e-4
    assert about["parity"]["top1_agreement"] == 1
    timed = shell("bench", "--model", about["file"], "--json").must().json
    assert timed["networks"][0]["median_ms"] > 0


@needs_litert_torch
def test_what_litert_torch_does_not_take_is_one_line(own: Path, shell: Shell) -> None:
    export = ("export", "--model", f"{own}:not_convertible", "--input", "3x32x32")
    told = shell(*export, "--format", "tflite").must(2).err.splitlines()
    assert len(told) == 2
    assert told[1].startswith("hwnas: litert-torch cannot write this network as TFLite")
    assert not list((shell.folder / "export").iterdir())


@pytest.mark.skipif(importlib.util.find_spec("litert_torch") is not None, reason="it is installed")
def test_without_litert_torch_the_package_is_named(own: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingPackage, match=r'pip install "litert-torch'):
        export_model(load_own(f"{own}:build", (3, 32, 32)), Asked("tflite"), tmp_path, Silent())


def test_torchvisions_networks_are_converted_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "vision.py"
    path.write_text(VISION)
    about = export_model(
        load_own(f"{path}:net", (3, 64, 64)), Asked("onnx"), tmp_path / "out", Silent()
    )
    assert about["parity"]["max_rel"] <= 1e-4


def test_a_module_that_converts_wrongly_is_refused(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_another(model: Any, *arguments: Any) -> Artifact:
        other = nn.Sequential(model.module, nn.Softplus())
        return real(dataclasses.replace(model, module=other.eval()), *arguments)

    real = own_exports.convert
    monkeypatch.setattr(own_exports, "convert", of_another)
    with pytest.raises(CheckFailed, match="the onnx file of my_net differs from torch"):
        export_model(
            load_own(f"{own}:build", (3, 32, 32)), Asked("onnx"), tmp_path / "out", Silent()
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "message"), [
    ("{}:missing", "has no function 'missing'"),
    ("{}:fails", "fails: RuntimeError: no weights here"),
    ("{}:number", "returns int, not a torch.nn.Module"),
    ("{}:tuple_out", r"returns \(1, 3, 32, 32\)"),
    ("{}", "names no function"),
    ("{}x.py:build", "is missing"),
    ("no.such.module:build", "cannot be imported"),
])  # fmt: skip
def test_mistakes_with_a_module_are_told_in_one_line(own: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_own(name.format(own), (3, 32, 32))
    assert "\n" not in str(caught.value)


def test_a_format_that_standard_converters_lack_is_told(own: Path, tmp_path: Path) -> None:
    model = load_own(f"{own}:build", (3, 32, 32))
    with pytest.raises(UserError, match="--format mlprogram"):
        export_model(model, Asked("coreml"), tmp_path, Silent())
    with pytest.raises(UserError, match="unknown precision"):
        export_model(model, Asked("onnx", "int8"), tmp_path, Silent())
    with pytest.raises(UserError, match="10 classes, but my_net returns 5"):
        export_model(model, Asked("onnx", dataset="cluttered-digits"), tmp_path, Silent())
