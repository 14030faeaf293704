"""A user's own torch module as a file: by the standard converter, in 8 bits by a quantiser."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwnas.data.catalog import find_dataset
from hwnas.errors import UserError, one_of
from hwnas.targets.formats import find_format
from hwnas.targets.shared.format import normalised
from hwnas.targets.tflite.pixels import as_taken
from hwnas.workflows.export import parity as parities
from hwnas.workflows.export.calibration import calibration_images
from hwnas.workflows.export.checked_file import Draft, hold
from hwnas.workflows.export.converters import (
    CONVERTERS,
    convert,
    describe,
    quantise,
    require_quantiser,
)
from hwnas.workflows.export.labels_and_normalisation import image_input
from hwnas.workflows.shared_options import selection_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.data.dataset import Dataset
    from hwnas.graph import ImageInput
    from hwnas.models.own import OwnModel
    from hwnas.progress import Reporter
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.format import Format
    from hwnas.workflows.export.options import ExportOptions

UNTRIED = {"tflite": {"target_os": "any with LiteRT"}}
"""What is not said of a converter's files: whether older runtimes know their operators."""

EFFECTS = {"fp16": 0.025, "int8": 0.25}
"""`rms_rel` that fewer bits may cost a module of whose arithmetic nothing is known."""

FEWER_BITS = (
    "if float32 passes (--precision fp32), these bits are too few for this module's weights and "
    "values; untrained ones need more than trained ones"
)

EXECUTED_IMAGES = 100


def converted(model: OwnModel, options: ExportOptions, reporter: Reporter) -> Draft:
    """Return the file of a module.

    Args:
        model: the module.
        options: format, precision, data, labels and normalisation.
        reporter: is shown progress.

    Raises:
        CheckFailed: what the converter wrote, and is to be quantised, differs from torch.
        UserError: the options do not go together, or the converter does not take the module.
    """
    name = options.format or "onnx"
    precision = _precision(name, options.precision)
    form = find_format(name, pixels=options.mediapipe)
    data = _dataset(model, options)
    images = image_input(model.classes, data, options)
    fed = as_taken(images) if options.mediapipe else images
    quantiser = CONVERTERS[name].quantiser if precision == "int8" else None
    calibration = _calibration(model, name, data, fed) if quantiser else None
    reporter.info(f"{CONVERTERS[name].name} converts {model.name} ...")
    artifact = convert(model, name, precision, images, pixels=options.mediapipe)
    draft = _draft(model, options, form, data, images, artifact)
    if calibration is not None:
        hold(draft, reporter)
        reporter.info(f"{quantiser} makes 8 bits of it, by {len(calibration)} images ...")
        artifact = quantise(name, artifact, calibration, pixels=options.mediapipe)
    draft = replace(draft, artifact=describe(model, name, precision, fed, artifact))
    if precision == "fp32":
        return draft
    reference = replace(draft.reference, rounding=EFFECTS[precision])
    return replace(draft, precision=precision, reference=reference, remedy=FEWER_BITS)


def _draft(
    model: OwnModel,
    options: ExportOptions,
    form: Format,
    data: Dataset | None,
    images: ImageInput,
    artifact: Artifact,
) -> Draft:
    """Return a file as one in float32."""
    place = options.dataset, options.data_dir, selection_of(options)
    pixels = parities.parity_images(*place, model.input_shape[-1])
    values = normalised(pixels, images)
    expected = parities.torch_outputs(model.module, values, form.outputs)
    return Draft(
        form=form,
        precision="fp32",
        artifact=artifact,
        network=model.module,
        images=images,
        pixels=pixels,
        reference=parities.Reference(expected, "torch in float64"),
        data=data,
        slow_images=EXECUTED_IMAGES,
        float_accuracy=True,
        name=model.name,
        what=f"the {form.name} file of {model.name}",
        facts={"trained": None, "model": model.name, **UNTRIED.get(form.name, {})},
    )


def _precision(form: str, asked: str | None) -> str:
    if form == "coreml":
        raise UserError(
            "a torch module of your own becomes a Core ML neural network for iOS 13 and later "
            "only: --format mlprogram (iOS 15 and later) is what Core ML is given today."
        )
    if form not in CONVERTERS:
        raise one_of("format", form, list(CONVERTERS))
    known = CONVERTERS[form].precisions
    if asked is not None and asked not in known:
        raise one_of(f"precision of --model as {form}", asked, list(known))
    return asked or known[0]


def _dataset(model: OwnModel, options: ExportOptions) -> Dataset | None:
    if options.dataset is None:
        return None
    data = find_dataset(options.dataset, options.data_dir, selection_of(options))
    if len(data.labels) != model.classes:
        raise UserError(
            f"{options.dataset} has {len(data.labels)} classes, but {model.name} returns "
            f"{model.classes} scores: name another --dataset, or none."
        )
    return data


def _calibration(
    model: OwnModel, form: str, data: Dataset | None, fed: ImageInput
) -> NDArray[np.float32]:
    """Return the images (n, 3, H, W) that 8-bit values are calibrated by, as the file takes them.

    Raises:
        UserError: there is no data, or the quantiser is not installed.
    """
    require_quantiser(form)
    if data is None:
        raise UserError(
            "8-bit values are calibrated on training images, but none are known for a module "
            "of your own: name them with --dataset, such as --dataset parquet:PATH."
        )
    return calibration_images(data, model.input_shape[-1], fed)
