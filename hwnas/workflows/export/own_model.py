"""`hwnas export --model FILE.py:FUNCTION`: a user's own torch module, converted and checked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hwnas.data.selection import USUAL, Selection
from hwnas.errors import UserError, one_of
from hwnas.files import write_json
from hwnas.targets.formats import find_format
from hwnas.targets.shared.format import normalised
from hwnas.targets.tflite.pixels import as_taken
from hwnas.workflows.export import parity as parities
from hwnas.workflows.export import precision_effect as effects
from hwnas.workflows.export.conversion import (
    CONVERTERS,
    PRECISIONS,
    QUANTISERS,
    convert,
    describe,
    quantise,
    require_quantiser,
)
from hwnas.workflows.export.image_input import NOTHING_STATED, Stated, image_input

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.data.dataset import Dataset
    from hwnas.graph import ImageInput
    from hwnas.models.own import OwnModel
    from hwnas.progress import Reporter
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.format import Format

UNTRIED = {"tflite": {"target_os": "any with LiteRT"}}
"""What is not said of a converter's files: whether older runtimes know their operators."""

EFFECTS = {"fp16": 0.025, "int8": 0.25}
"""`rms_rel` that fewer bits may cost a module of whose arithmetic nothing is known."""

FEWER_BITS = (
    "if float32 passes (--precision fp32), these bits are too few for this module's weights and "
    "values; untrained ones need more than trained ones"
)

EXECUTED_IMAGES = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user wants of a module.

    Attributes:
        form: name of the format.
        precision: None for the format's default.
        dataset: for real images and, where its classes are the module's, labels and accuracy.
        data_dir: where that lies.
        selection: what is held out or left out of it.
        stated: normalisation and labels that count before the data set's.
        images: how many held-out images the accuracy is measured on.
        max_drop: percentage points of top-1 that the file may lose.
        mediapipe: whether a TFLite file normalises by itself, as MediaPipe takes it.
    """

    form: str
    precision: str | None = None
    dataset: str | None = None
    data_dir: Path | None = None
    selection: Selection = USUAL
    stated: Stated = NOTHING_STATED
    images: int = effects.ACCURACY_IMAGES
    max_drop: float = effects.MAX_DROP
    mediapipe: bool = False


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
    form = find_format(asked.form, pixels=asked.mediapipe)
    data = _dataset(model, asked)
    images = image_input(model.classes, data, asked.stated)
    job = _Job(model, asked, form, precision, data, images, reporter)
    artifact = job.written()
    checked = job.checked(artifact)
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
        **checked,
    }
    write_json(folder / f"{name}.{form.name}.json", result)
    return result


@dataclass(frozen=True, slots=True)
class _Job:
    """One module on its way into one file.

    Attributes:
        data: for calibration and accuracy, if there is one.
        images: normalisation and labels.
    """

    model: OwnModel
    asked: Asked
    form: Format
    precision: str
    data: Dataset | None
    images: ImageInput
    reporter: Reporter

    def written(self) -> Artifact:
        """Convert, quantise where a quantiser is needed, describe."""
        model, form, precision = self.model, self.form.name, self.precision
        pixels = self.asked.mediapipe
        quantiser = QUANTISERS.get(form) if precision == "int8" else None
        calibration = self._calibration(form) if quantiser else None
        self.reporter.info(f"{CONVERTERS[form]} converts {model.name} ...")
        artifact = convert(model, form, precision, self.images, pixels=pixels)
        if calibration is not None:
            self._held(artifact, "fp32")
            self.reporter.info(f"{quantiser} makes 8 bits of it, by {len(calibration)} images ...")
            artifact = quantise(form, artifact, calibration, pixels=pixels)
        return describe(model, form, precision, self._taken, artifact)

    def checked(self, artifact: Artifact) -> dict[str, Any]:
        """Return parity and accuracy of the file; raises CheckFailed."""
        found = self._held(artifact, self.precision)
        accuracy = self._accuracy(artifact)
        if accuracy is not None:
            effects.require_accuracy(accuracy, self.asked.max_drop, self._what)
        told = accuracy and accuracy.to_json()
        if self.precision == "fp32":
            return {**found, "accuracy": told}
        change = {field.name: found["parity"][field.name] for field in fields(parities.Difference)}
        return {**found, "precision_effect": {**change, "accuracy": told}}

    @property
    def _what(self) -> str:
        return f"the {self.form.name} file of {self.model.name}"

    @property
    def _taken(self) -> ImageInput:
        """Return how who feeds the file normalises."""
        return as_taken(self.images) if self.asked.mediapipe else self.images

    def _calibration(self, form: str) -> NDArray[np.float32]:
        require_quantiser(form)
        if self.data is None:
            raise UserError(
                "8-bit values are calibrated on training images, but none are known for a module "
                "of your own: name them with --dataset, such as --dataset parquet:PATH."
            )
        resolution = self.model.input_shape[-1]
        return effects.calibration_images(self.data, resolution, self._taken)

    def _held(self, artifact: Artifact, precision: str) -> dict[str, Any]:
        """Hold a file against torch; raises CheckFailed."""
        asked, form, images = self.asked, self.form, self.images
        data = asked.dataset, asked.data_dir, asked.selection
        pixels = parities.parity_images(*data, self.model.input_shape[-1])
        values = normalised(pixels, images)
        expected = parities.torch_outputs(self.model.module, values, form.outputs)
        effect = EFFECTS.get(precision)
        reference = parities.Reference(expected, "torch in float64", effect)
        remedy = parities.REPORT if effect is None else FEWER_BITS
        return parities.checked(
            form, artifact, pixels, images, reference, self.reporter, what=self._what, remedy=remedy
        )

    def _accuracy(self, artifact: Artifact) -> effects.Accuracy | None:
        if self.data is None or self.asked.images == 0:
            return None
        fast, most = self.form.fast, self.asked.images
        count = most if fast else min(most, EXECUTED_IMAGES)
        with self.reporter.task(f"accuracy of the {self.form.name} file", count) as step:

            def execute(pixels: NDArray[np.uint8]) -> NDArray[Any]:
                found = self.form.execute(artifact, pixels, self.images)
                step(len(pixels))
                return found

            module, resolution = self.model.module, self.model.input_shape[-1]
            return effects.measure_accuracy(
                module, execute, self.data, resolution, count, self.images
            )


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

    data = find_dataset(asked.dataset, asked.data_dir, asked.selection)
    if len(data.labels) != model.classes:
        raise UserError(
            f"{asked.dataset} has {len(data.labels)} classes, but {model.name} returns "
            f"{model.classes} scores: name another --dataset, or none."
        )
    return data
