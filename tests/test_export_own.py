"""A user's own torch module: converted, checked, and refused when it comes out wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from exporting import export_module
from torch import nn

import hwnas
from hwnas.data.catalog import find_dataset
from hwnas.errors import CheckFailed, MissingPackage, UserError
from hwnas.files import sha256
from hwnas.graph import unnamed
from hwnas.models.own import load_own
from hwnas.targets.convert.onnx import OnnxConverter
from hwnas.workflows.export.labels_and_normalisation import image_input
from hwnas.workflows.export.options import ExportOptions
from hwnas.workflows.export.provenance import origin_of_own

if TYPE_CHECKING:
    from conftest import Shell

    from hwnas.targets.shared.artifact import Artifact

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

DIGITS = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(8, 10))
"""


BRIGHT = """
import torch
from torch import nn

class Bright(nn.Module):
    def forward(self, x):
        level = x.mean((1, 2, 3), keepdim=False)[:, None]
        return -(level * 4 + 5 - torch.arange(10.0)) ** 2

def build():
    return Bright()
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
    about = export_module(model, tmp_path / "out", format=form, precision=precision)
    assert (tmp_path / about["file"]).exists()
    limit = 1e-4 if precision == "fp32" else 1e-2
    assert about["parity"]["max_rel"] <= limit
    assert about["parity"]["top1_agreement"] == 1


needs_litert_torch = pytest.mark.skipif(
    importlib.util.find_spec("litert_torch") is None,
    reason='litert-torch is not installed (1.1 GB): pip install "litert-torch>=0.10"',
)


def metadata_entries(model: bytes) -> dict[str, bytes]:
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    return {
        entry.name.decode(): bytes(parsed.buffers[entry.buffer].data) for entry in parsed.metadata
    }


@needs_litert_torch
def test_a_module_becomes_tflite_by_the_command_and_is_timed(own: Path, shell: Shell) -> None:
    """Through the command itself: what litert-torch prints must not reach the terminal."""
    export = ("export", "--model", f"{own}:build", "--input", "3x32x32", "--format", "tflite")
    done = shell(*export, "--json").must()
    assert done.err.splitlines() == ["litert-torch converts my_net ..."]
    about = done.json
    assert about["parity"]["max_rel"] <= 1e-4
    assert about["parity"]["top1_agreement"] == 1
    entries = metadata_entries((shell.folder / about["file"]).read_bytes())
    assert entries["hwnas.source"] == b"my_net.py:build"
    assert {"TFLITE_METADATA", "labels", "min_runtime_version"} <= entries.keys()
    timed = shell("bench", "--model", about["file"], "--json").must().json
    assert timed["networks"][0]["median_ms"] > 0


@needs_litert_torch
def test_8_bits_of_a_tflite_file_are_calibrated_on_training_images(shell: Shell) -> None:
    (shell.folder / "digits.py").write_text(DIGITS)
    export = ("export", "--model", "digits.py:build", "--input", "16", "--format", "tflite")
    data = ("--precision", "int8", "--dataset", "cluttered-digits", "--images", "100")
    about = shell(*export, *data, "--json").must().json
    assert about["file"] == "export/digits-int8.tflite"
    assert about["precision_effect"]["rms_rel"] < 0.1
    assert about["precision_effect"]["accuracy"]["images"] == 100
    entries = metadata_entries((shell.folder / about["file"]).read_bytes())
    assert b"litert-quantizer" in entries["hwnas.written.by"]
    assert "TFLITE_METADATA" in entries
    shell("bench", "--model", about["file"], "--target", "tflite-int8").must()


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
        export_module(load_own(f"{own}:build", (3, 32, 32)), tmp_path, format="tflite")


def test_torchvisions_networks_are_converted_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "vision.py"
    path.write_text(VISION)
    about = export_module(load_own(f"{path}:net", (3, 64, 64)), tmp_path / "out", format="onnx")
    assert about["parity"]["max_rel"] <= 1e-4


def test_a_module_that_converts_wrongly_is_refused(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_another(self: Any, module: Any, *arguments: Any) -> Artifact:
        return real(self, nn.Sequential(module, nn.Softplus()).eval(), *arguments)

    real = OnnxConverter.convert
    monkeypatch.setattr(OnnxConverter, "convert", of_another)
    with pytest.raises(CheckFailed, match="the onnx file of my_net differs from torch"):
        export_module(load_own(f"{own}:build", (3, 32, 32)), tmp_path / "out", format="onnx")
    assert not (tmp_path / "out").exists()


# Metadata ---------------------------------------------------------------------------------------

STATED = {"mean": "0.5,0.25,0", "std": "0.5,0.5,1"}


def described(own: Path, form: str, folder: Path) -> Path:
    labels = folder / "labels.txt"
    labels.write_text("cat\ndog\nbird\ncar\nship\n")
    asked = {"format": form, "precision": "fp32", "labels": labels, **STATED}
    about = export_module(load_own(f"{own}:build", (3, 32, 32)), folder / "out", **asked)
    return Path(about["file"])


def check_origin(found: dict[str, str], own: Path) -> None:
    assert found["hwnas.version"] == hwnas.__version__
    assert found["hwnas.precision"] == "fp32"
    assert found["hwnas.source"] == "my_net.py:build"  # and not the user's folders
    assert found["hwnas.source.sha256"] == sha256(own.read_bytes())
    assert f"torch {torch.__version__.partition('+')[0]}" in found["hwnas.written.by"]
    assert re.fullmatch("[0-9a-f]{64}", found["hwnas.weights.sha256"])


def test_a_converted_onnx_file_says_what_it_takes_and_where_it_comes_from(
    own: Path, tmp_path: Path
) -> None:
    content = described(own, "onnx", tmp_path).read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    found = {entry.key: entry.value for entry in model.metadata_props}
    check_origin(found, own)
    assert json.loads(found["labels"]) == ["cat", "dog", "bird", "car", "ship"]
    assert json.loads(found["image.mean"]) == [0.5, 0.25, 0]
    assert json.loads(found["image.std"]) == [0.5, 0.5, 1]
    assert str(own.parent).encode() not in content
    assert b"stack_trace" not in content


def test_a_converted_ml_program_is_described_like_hwnass_own(own: Path, tmp_path: Path) -> None:
    import coremltools

    path = described(own, "mlprogram", tmp_path)
    model = coremltools.models.MLModel(str(path), skip_model_load=True)
    check_origin(dict(model.user_defined_metadata), own)
    assert model.short_description == "Classifier of 32x32 images into 5 classes"
    assert model.input_description["image"] == "RGB image, 32x32 pixels"
    assert model.output_description["probabilities"] == "probability of each class"
    assert model.author == "hwnas"


@pytest.mark.parametrize(("stated", "message"), [
    ({"mean": "0.5"}, "--mean takes one number per channel .* but got '0.5'"),
    ({"mean": "a,b,c"}, "--mean takes one number per channel"),
    ({"mean": "0,nan,0"}, "--mean takes one number per channel"),
    ({"std": "1,1,0"}, "--std must be above zero"),
    ({"labels": Path("missing.txt")}, "cannot be read"),
])  # fmt: skip
def test_wrong_statements_about_images_are_told_in_one_line(
    stated: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        image_input(5, None, ExportOptions(**stated))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [
    ("a\nb\n", "has 2 lines, but the module returns 3 scores"),
    ("a\nb\na\n", "names 'a' twice"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_told(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        image_input(3, None, ExportOptions(labels=path))


def test_what_is_stated_counts_before_the_data_set_and_that_before_a_guess() -> None:
    data = find_dataset("cluttered-digits")
    assert image_input(10, data, ExportOptions()) == data.images
    mixed = image_input(10, data, ExportOptions(mean="0,0,0"))
    assert mixed == dataclasses.replace(data.images, mean=(0.0, 0.0, 0.0))
    assert image_input(10, None, ExportOptions()) == unnamed(10)


def test_the_weights_hash_tells_weights_apart(own: Path) -> None:
    first, again = (load_own(f"{own}:build", (3, 32, 32)) for _ in range(2))
    assert origin_of_own(first, ()) == origin_of_own(again, ())
    with torch.no_grad():
        again.module.classifier.bias[0] += 1
    assert origin_of_own(first, ())["weights.sha256"] != origin_of_own(again, ())["weights.sha256"]


def test_accuracy_is_that_of_images_as_the_module_takes_them(tmp_path: Path) -> None:
    """A module that answers by brightness: wrong normalisation would change its answers."""
    path = tmp_path / "bright.py"
    path.write_text(BRIGHT)
    asked = {"format": "onnx", "dataset": "cluttered-digits", "images": 100}
    model = load_own(f"{path}:build", (3, 16, 16))
    about = export_module(model, tmp_path / "out", std="1,1,1", **asked)
    assert about["accuracy"]["agreement"] == 1
    accuracy = about["accuracy"]["float_top1"]
    again = export_module(model, tmp_path / "out", std="0.1,0.1,0.1", **asked)
    assert again["accuracy"]["float_top1"] != accuracy


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
        export_module(model, tmp_path, format="coreml")
    with pytest.raises(UserError, match="unknown precision"):
        export_module(model, tmp_path, format="onnx", precision="fp16")
    with pytest.raises(UserError, match="10 classes, but my_net returns 5"):
        export_module(model, tmp_path, format="onnx", dataset="cluttered-digits")
