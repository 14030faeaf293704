"""A user's own module in 8 bits: by the ecosystem's quantisers, with what it costs in accuracy."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert.compiled_model import CompiledModel
from exporting import export_module
from torch import nn

from hwnas.data.catalog import find_dataset
from hwnas.errors import CheckFailed, MissingPackage, UserError
from hwnas.graph import random_weights
from hwnas.models.own import load_own
from hwnas.spaces import find_space
from hwnas.targets.convert.onnx import OnnxConverter
from hwnas.targets.convert.tflite import TfLiteConverter
from hwnas.targets.formats import find_converter
from hwnas.targets.onnx import emitter as onnx_emitter
from hwnas.targets.onnx.runtime import OnnxRuntime
from hwnas.targets.shared import compute
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite import emitter as tflite_emitter
from hwnas.targets.tflite.runtime import LiteRt
from hwnas.workflows.export.calibration import calibration_images
from hwnas.workflows.export.labels_and_normalisation import image_input
from hwnas.workflows.export.options import ExportOptions
from hwnas.workflows.export.parity import difference

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.models.own import OwnModel

DATA = "cluttered-digits"
RESOLUTION = 16
TRAINED_IMAGES = 8000
ONNX_INT8 = {"format": "onnx", "precision": "int8"}

MODULE = """
from pathlib import Path
import torch
from torch import nn

def untrained():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU6(),
        nn.Conv2d(16, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3, 2, 1, groups=32), nn.BatchNorm2d(32), nn.Hardswish(),
        nn.Conv2d(32, 64, 1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )

def build():
    network = untrained()
    network.load_state_dict(torch.load(Path(__file__).with_name("weights.pt")))
    return network
"""


def train(network: nn.Module) -> None:
    batches = find_dataset(DATA).train_batches(TRAINED_IMAGES, 64, RESOLUTION, seed=0)
    optimiser = torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True)
    for images, labels in batches:
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> OwnModel:
    """A small classifier after some seconds of training: far from chance, far from perfect."""
    path = tmp_path_factory.mktemp("own") / "digits.py"
    path.write_text(MODULE)
    network = load_own(f"{path}:untrained", (3, RESOLUTION, RESOLUTION)).module
    train(network.train())
    torch.save(network.state_dict(), path.with_name("weights.pt"))
    return load_own(f"{path}:build", (3, RESOLUTION, RESOLUTION))


@pytest.mark.parametrize("form", ["onnx", "mlprogram"])
def test_fewer_bits_report_what_they_cost_in_accuracy(
    form: str, trained: OwnModel, tmp_path: Path
) -> None:
    asked = {"format": form, "precision": "int8", "dataset": DATA, "images": 200}
    about = export_module(trained, tmp_path, **asked)
    assert about["file"].endswith({"onnx": "digits-int8.onnx"}.get(form, "digits-int8.mlpackage"))
    effect, accuracy = about["precision_effect"], about["precision_effect"]["accuracy"]
    assert 0.3 < accuracy["float_top1"] < 1
    assert abs(accuracy["drop_points"]) <= 2
    assert accuracy["agreement"] > 0.9
    assert accuracy["dataset"] == DATA
    assert 1e-4 < effect["rms_rel"] == about["parity"]["rms_rel"] < 0.2
    whole = sum(each.numel() for each in trained.module.parameters())
    weights = tmp_path / "digits-int8.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    size = weights.stat().st_size if form == "mlprogram" else about["size_bytes"]
    assert size < {"onnx": 4, "mlprogram": 2}[form] * whole


def test_an_8_bit_onnx_file_computes_on_integers_and_keeps_its_metadata(
    trained: OwnModel, tmp_path: Path
) -> None:
    about = export_module(trained, tmp_path, **ONNX_INT8, dataset=DATA, images=0)
    model = onnx.load(about["file"])
    onnx.checker.check_model(model)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found["hwnas.precision"] == "int8"
    assert "onnxruntime" in found["hwnas.written.by"]
    kinds = {each.name: each.data_type for each in model.graph.initializer}
    weights = [each for each in kinds if "weight" in each and each.endswith("_quantized")]
    assert len(weights) == 5
    assert all(kinds[each] == onnx.TensorProto.INT8 for each in weights)
    assert about["precision_effect"]["accuracy"] is None


def test_an_8_bit_ml_program_is_for_ios_16(trained: OwnModel, tmp_path: Path) -> None:
    about = export_module(trained, tmp_path, format="mlprogram", precision="int8")
    assert about["target_os"] == "iOS 16 and later"  # and no data set is needed for weights alone


def test_what_calibrates_is_normalised_as_the_module_takes_it() -> None:
    data = find_dataset(DATA)
    usual = calibration_images(data, RESOLUTION)
    stated = image_input(10, data, ExportOptions(mean="0,0,0", std="0.5,0.5,0.5"))
    other = calibration_images(data, RESOLUTION, stated)
    mean, std = (np.array(each).reshape(3, 1, 1) for each in (data.images.mean, data.images.std))
    assert np.allclose(other, (usual * std + mean) / 0.5, atol=1e-6)


def test_8_bits_without_images_say_what_is_needed(trained: OwnModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name them with --dataset"):
        export_module(trained, tmp_path, **ONNX_INT8)
    assert not list(tmp_path.iterdir())


def test_a_file_that_loses_too_much_is_refused(
    trained: OwnModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_another(self: Any, model: bytes, calibration: Any) -> bytes:
        return real(self, model, calibration / 50)

    real = OnnxConverter.quantised
    monkeypatch.setattr(OnnxConverter, "quantised", of_another)
    with pytest.raises(CheckFailed, match="these bits are too few"):
        export_module(trained, tmp_path, **ONNX_INT8, dataset=DATA)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("form", "package"), [("onnx", "sympy"), ("tflite", "litert_quantizer")])
def test_a_quantiser_that_is_missing_is_named_before_any_work(
    form: str,
    package: str,
    trained: OwnModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else name)
    monkeypatch.setattr(OnnxConverter, "convert", None)
    monkeypatch.setattr(TfLiteConverter, "convert", None)
    with pytest.raises(MissingPackage, match=r'pip install "hwnas\[convert\]"'):
        export_module(trained, tmp_path, format=form, precision="int8", dataset=DATA)


# The quantisers, on files whose arithmetic is known ----------------------------------------------

SMALL = find_space("rcnet", input_size="16", classes=10, width=0.25)
GRAPH = SMALL.graph(SMALL.canonical(SMALL.start()))
WEIGHTS = random_weights(GRAPH, 0)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return calibration_images(find_dataset(DATA), 16)[:32]


def test_both_quantisers_take_any_file_and_keep_what_it_computes(images: np.ndarray) -> None:
    exact = compute.run(GRAPH, WEIGHTS, images)
    onnx_file = find_converter("onnx").quantised(onnx_emitter.emit(Content(GRAPH, WEIGHTS)), images)
    tflite_file = find_converter("tflite").quantised(
        tflite_emitter.emit(Content(GRAPH, WEIGHTS)), images
    )
    CompiledModel.from_buffer(tflite_file)
    assert LiteRt(tflite_file).interface.input_dtype == "int8"
    for session in (OnnxRuntime(onnx_file), LiteRt(tflite_file)):
        assert difference(session.predict(images), exact).rms_rel < 0.15


def test_the_first_image_of_many_still_counts(images: np.ndarray) -> None:
    """A moving average of extremes, as the quantiser's own calibration has it, would forget it."""
    far = np.concatenate([8 * images[:1], np.repeat(images[1:2], 100, axis=0)])
    exact = compute.run(GRAPH, WEIGHTS, far[:1])
    made = LiteRt(
        find_converter("tflite").quantised(tflite_emitter.emit(Content(GRAPH, WEIGHTS)), far)
    )
    assert difference(made.predict(far[:1]), exact).rms_rel < 0.2


def test_what_a_quantiser_does_not_take_is_one_line(images: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"onnxruntime\.quantization cannot write") as caught:
        find_converter("onnx").quantised(
            onnx_emitter.emit(Content(GRAPH, WEIGHTS)), images[:, :, :8]
        )
    assert "\n" not in str(caught.value)
