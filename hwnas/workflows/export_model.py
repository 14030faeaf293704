"""`hwnas export --model FILE.py:FUNCTION`: a user's own torch module, converted and checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from hwnas import __version__
from hwnas.errors import UserError, one_of
from hwnas.files import write_json
from hwnas.graph import file_metadata
from hwnas.targets.artifact import Artifact
from hwnas.targets.content import normalised
from hwnas.targets.formats import find_format
from hwnas.workflows import parity as parities
from hwnas.workflows import precision_effect as effects
from hwnas.workflows.origin import origin_of_own
from hwnas.workflows.own_images import NOTHING_STATED, Stated, image_input

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.data.dataset import Dataset
    from hwnas.graph import ImageInput
    from hwnas.models.own import OwnModel
    from hwnas.progress import Reporter
    from hwnas.targets.content import Format

PRECISIONS = {"onnx": ("fp32",), "tflite": ("fp32",), "mlprogram": ("fp16", "fp32")}
"""What the standard converters write of each format, the default first."""

CONVERTERS = {"onnx": "torch.onnx.export", "tflite": "litert-torch", "mlprogram": "coremltools"}

PACKAGES = {
    "onnx": ("torch", "onnxscript"),
    "tflite": ("torch", "litert-torch"),
    "mlprogram": ("torch", "coremltools"),
}
"""What writes each format, by the names that pip knows."""

UNTRIED = {"tflite": {"target_os": "any with LiteRT"}}
"""What is not said of a converter's files: whether older runtimes know their operators."""

HALF_EFFECT = 0.025
"""`rms_rel` that float16 may cost a module of whose arithmetic nothing is known."""

EXECUTED_IMAGES = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user wants of a module.

    Attributes:
        form: name of the format.
        precision: None for the format's default.
        dataset: for real images and, where its classes are the module's, labels and accuracy.
        data_dir: where that lies.
        stated: normalisation and labels that count before the data set's.
        images: how many held-out images the accuracy is measured on.
        max_drop: percentage points of top-1 that the file may lose.
    """

    form: str
    precision: str | None = None
    dataset: str | None = None
    data_dir: Path | None = None
    stated: Stated = NOTHING_STATED
    images: int = effects.ACCURACY_IMAGES
    max_drop: float = effects.MAX_DROP


def export_model(model: OwnModel, asked: Asked, folder: Path, reporter: Reporter) -> dict[str, Any]:
    """Write the verified file and a JSON file beside it; return the content of the latter.

    Args:
        model: the module.
        asked: format, precision, data.
        folder: made when missing.
        reporter: is shown progress.

    Raises:
        CheckFailed: the file differs from torch or loses too much accuracy; nothing is written.
        UserError: the converter does not take the module, or the executor does not know what it
            wrote.
    """
    precision = _precision(asked)
    form = find_format(asked.form)
    data = _dataset(model, asked)
    images = image_input(model.classes, data, asked.stated)
    reporter.info(f"{CONVERTERS[form.name]} converts {model.name} ...")
    artifact = convert(model, form.name, precision, images)
    what = f"the {form.name} file of {model.name}"
    pixels = parities.parity_images(asked.dataset, asked.data_dir, model.input_shape[-1])
    expected = parities.torch_outputs(model.module, normalised(pixels, images), form.outputs)
    rounding = None if precision == "fp32" else HALF_EFFECT
    found = form.execute(artifact, pixels, images)
    parity = parities.compared(form, found, expected, "torch in float64", rounding)
    parities.require(parity, what)
    accuracy = _accuracy(model, form, artifact, data, images, asked, reporter)
    if accuracy is not None:
        effects.require_accuracy(accuracy, asked.max_drop, what)
    name = model.name if precision == "fp32" else f"{model.name}-{precision}"
    path = folder / f"{name}{form.suffix}"
    artifact.write(path)
    result = {
        "file": str(path),
        "format": form.name,
        "precision": precision,
        "trained": None,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "model": model.name,
        **form.facts(artifact),
        **UNTRIED.get(form.name, {}),
        "slow_paths": form.slow_paths(artifact),
        "parity": asdict(parity),
        "accuracy": accuracy and accuracy.to_json(),
    }
    write_json(folder / f"{name}.{form.name}.json", result)
    return result


def convert(model: OwnModel, form: str, precision: str, images: ImageInput) -> Artifact:
    """Return the module as a file, written by the standard converter.

    Raises:
        MissingPackage: the converter is not installed.
        UserError: it does not take the module.
    """
    example = torch.zeros(1, *model.input_shape)
    about = _metadata(model, form, precision)
    if form == "onnx":
        from hwnas.targets.convert.to_onnx import to_onnx

        return Artifact.single(to_onnx(model.module, example, file_metadata(images, about)))
    if form == "tflite":
        from hwnas.targets.convert.to_tflite import to_tflite
        from hwnas.targets.tflite.described import described

        bare = to_tflite(model.module, example)
        return Artifact.single(described(bare, model.input_shape, images, about))
    from hwnas.targets.convert.to_mlprogram import to_mlprogram

    return to_mlprogram(model.module, example, images, about, precision)


def _metadata(model: OwnModel, form: str, precision: str) -> dict[str, str]:
    return {
        "hwnas.version": __version__,
        "hwnas.precision": precision,
        **{f"hwnas.{name}": text for name, text in origin_of_own(model, PACKAGES[form]).items()},
    }


def _precision(asked: Asked) -> str:
    if asked.form == "coreml":
        raise UserError(
            "a torch module of your own becomes a Core ML neural network for iOS 13 and later "
            "only: --format mlprogram (iOS 15 and later) is what Core ML is given today."
        )
    if asked.form not in PRECISIONS:
        raise one_of("format", asked.form, list(PRECISIONS))
    known = PRECISIONS[asked.form]
    precision = asked.precision or known[0]
    if precision not in known:
        raise one_of(f"precision of --model as {asked.form}", precision, list(known))
    return precision


def _dataset(model: OwnModel, asked: Asked) -> Dataset | None:
    if asked.dataset is None:
        return None
    from hwnas.data.catalog import find_dataset

    data = find_dataset(asked.dataset, asked.data_dir)
    if len(data.images.labels) != model.classes:
        raise UserError(
            f"{asked.dataset} has {len(data.images.labels)} classes, but {model.name} returns "
            f"{model.classes} scores: name another --dataset, or none."
        )
    return data


def _accuracy(
    model: OwnModel,
    form: Format,
    artifact: Artifact,
    data: Dataset | None,
    images: ImageInput,
    asked: Asked,
    reporter: Reporter,
) -> effects.Accuracy | None:
    if data is None or asked.images == 0:
        return None
    count = asked.images if form.fast else min(asked.images, EXECUTED_IMAGES)
    with reporter.task(f"accuracy of the {form.name} file", count) as step:

        def execute(pixels: NDArray[np.uint8]) -> NDArray[Any]:
            found = form.execute(artifact, pixels, images)
            step(len(pixels))
            return found

        resolution = model.input_shape[-1]
        return effects.measure_accuracy(model.module, execute, data, resolution, count, images)
