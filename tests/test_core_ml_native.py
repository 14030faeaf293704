"""Core ML itself in the parity check: on a Mac only. Here, with a stand-in for its model object.

The stand-in is called as coremltools documents MLModel, and computes by hwnas's executors. That the
real one is called rightly is more than these tests can show.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from exporting import export_network

from hwnas.errors import CheckFailed, MissingPackage, UserError
from hwnas.spaces import find_space
from hwnas.targets.apple import native
from hwnas.targets.coreml import executor as network_executor
from hwnas.targets.mlprogram import executor as program_executor
from hwnas.targets.shared.artifact import Artifact
from hwnas.workflows.winner import Winner

if TYPE_CHECKING:
    from pathlib import Path

coremltools = pytest.importorskip("coremltools")
pytest.importorskip("PIL")

SMALL = find_space("rcnet", input_size="16", classes=10, width=0.25)
WINNER = Winner(SMALL, SMALL.canonical(SMALL.start()))
LABELS = WINNER.image_input().labels


class Model:
    """In the place of coremltools.models.MLModel, which needs macOS to predict."""

    made: ClassVar[list[Model]] = []

    def __init__(self, path: str, *, compute_units: Any) -> None:
        self.path, self.compute_units, self.images = path, compute_units, []
        self.artifact = Artifact.read(native.Path(path))
        Model.made.append(self)

    def predict(self, features: dict[str, Any]) -> dict[str, Any]:
        (image,) = features.values()
        self.images.append(image)
        scores = self.scores(np.asarray(image)[None])
        by_label = dict(zip(reversed(LABELS), reversed(scores.tolist()), strict=True))
        return {"classLabel": max(by_label, key=by_label.get), "probabilities": by_label}

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        if self.path.endswith(".mlmodel"):
            return network_executor.probabilities(self.artifact.content, pixels)[0]
        return program_executor.probabilities(self.artifact, pixels)[0]


class Wrong(Model):
    def scores(self, pixels: np.ndarray) -> np.ndarray:
        return np.roll(super().scores(pixels), 1)


class Failing(Model):
    def predict(self, features: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("Unable to load\nCoreML.framework")


class Told:
    """A reporter that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(native.platform, "system", lambda: "Darwin")
    stand_in(monkeypatch, Model)
    monkeypatch.setattr(Model, "made", [])
    return monkeypatch


def stand_in(monkeypatch: pytest.MonkeyPatch, model: type[Model]) -> None:
    """Replace models that are to predict; coremltools' converter makes its own by the same name."""
    real = type_of_models()

    def made(path: Any, **options: Any) -> Any:
        return (real if "skip_model_load" in options else model)(path, **options)

    monkeypatch.setattr(coremltools.models, "MLModel", made)


def type_of_models() -> type:
    from coremltools.models.model import MLModel

    return MLModel


def exported(form: str, precision: str, folder: Path, reporter: Any = None) -> dict[str, Any]:
    return export_network(WINNER, form, precision, folder, reporter or Told())


@pytest.mark.parametrize(("form", "precision", "suffix"), [
    ("coreml", "fp32", ".mlmodel"), ("coreml", "int8", ".mlmodel"),
    ("mlprogram", "fp32", ".mlpackage"), ("mlprogram", "fp16", ".mlpackage"),
])  # fmt: skip
def test_on_a_mac_core_ml_runs_the_file_too(
    form: str, precision: str, suffix: str, mac: Any, tmp_path: Path
) -> None:
    about = exported(form, precision, tmp_path)
    own, again = about["parity"], about["native_parity"]
    assert again["executor"] == "Core ML on this Mac, CPU only"
    assert {**again, "executor": None} == {**own, "executor": None}
    (model,) = Model.made
    assert model.path.endswith(suffix)
    assert model.artifact == Artifact.read(native.Path(about["file"]))
    assert model.compute_units is coremltools.ComputeUnit.CPU_ONLY
    assert len(model.images) == own["images"]
    assert {(image.mode, image.size) for image in model.images} == {("RGB", (16, 16))}


def test_a_file_that_core_ml_computes_otherwise_is_refused(mac: Any, tmp_path: Path) -> None:
    stand_in(mac, Wrong)
    with pytest.raises(CheckFailed, match=r"run by Core ML on this Mac, CPU only\. Nothing was"):
        exported("coreml", "fp32", tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_core_ml_fails_the_executor_counts_and_a_line_says_so(
    mac: Any, tmp_path: Path
) -> None:
    stand_in(mac, Failing)
    told = Told()
    about = exported("coreml", "fp32", tmp_path, told)
    assert "native_parity" not in about
    (line,) = told.warnings
    assert line.startswith("Core ML cannot run it: Unable to load CoreML.framework.")
    assert line.endswith("checked by hwnas's executor of the NeuralNetwork specification alone.")


def test_without_pillow_the_package_is_named(mac: Any, tmp_path: Path) -> None:
    mac.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingPackage, match="hwnas\\[data\\]"):
        native.probabilities(Artifact.single(b""), ".mlmodel", np.zeros((1, 4, 4, 3), "u1"), "ab")


def test_elsewhere_it_says_that_it_is_for_macs() -> None:
    if native.platform.system() == "Darwin":
        pytest.skip("this is a Mac")
    with pytest.raises(UserError, match="on macOS only, but this is"):
        native.probabilities(Artifact.single(b""), ".mlmodel", np.zeros((1, 4, 4, 3), "u1"), "ab")


def test_elsewhere_the_module_is_not_even_imported(tmp_path: Path) -> None:
    if native.platform.system() == "Darwin":
        pytest.skip("this is a Mac")
    arch = SMALL.format(WINNER.arch)
    code = f"""
import sys
from hwnas.cli.app import app
arguments = ["export", "--arch", "{arch}", "--space", "rcnet", "--input", "16", "--classes", "10",
             "--width", "0.25", "--random-weights", "--format", "coreml", "--out", "{tmp_path}"]
try:
    app(arguments)
except SystemExit as done:
    assert done.code == 0
assert "hwnas.targets.apple.format" in sys.modules
assert "hwnas.targets.apple.native" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=300)
