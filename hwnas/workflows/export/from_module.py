"""A user's own torch module as a file: by the standard converter, in 8 bits by a quantiser."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from hwnas import __version__
from hwnas.data.catalog import find_dataset
from hwnas.errors import UserError, one_of
from hwnas.targets.formats import find_converter, find_format
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import normalised
from hwnas.targets.tflite.pixels import as_taken
from hwnas.workflows.export import parity as parities
from hwnas.workflows.export.calibration import calibration_images
from hwnas.workflows.export.checked_file import hold
from hwnas.workflows.export.draft import Draft
from hwnas.workflows.export.labels_and_normalisation import image_input
from hwnas.workflows.export.provenance import origin_of_own

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.data.dataset import Dataset
    from hwnas.graph import ImageInput
    from hwnas.models.own import OwnModel
    from hwnas.progress import Reporter
    from hwnas.targets.convert.converter import Converter
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
    converter = _converter(name, pixels=options.mediapipe)
    precision = _precision(converter, name, options.precision)
    form = find_format(name, pixels=options.mediapipe)
    data = _dataset(model, options)
    images = image_input(model.classes, data, options)
    fed = as_taken(images) if options.mediapipe else images
    quantiser = converter.quantiser if precision == "int8" else None
    calibration = _calibration(model, converter, data, fed) if quantiser else None
    reporter.info(f"{converter.name} converts {model.name} ...")
    about = _about(model, converter, precision)
    example = torch.zeros(1, *model.input_shape)
    artifact = converter.convert(model.module, example, images, about, precision)
    draft = _draft(model, options, form, data, images, artifact)
    if calibration is not None:
        hold(draft, reporter)
        reporter.info(f"{quantiser} makes 8 bits of it, by {len(calibration)} images ...")
        artifact = Artifact.single(converter.quantised(artifact.content, calibration))
    artifact = converter.described(artifact, model.input_shape, fed, about)
    draft = replace(draft, artifact=artifact)
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
    place = options.dataset, options.data_dir, options.selection
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


def _converter(form: str, *, pixels: bool) -> Converter:
    if form == "coreml":
        raise UserError(
            "a torch module of your own becomes a Core ML neural network for iOS 13 and later "
            "only: --format mlprogram (iOS 15 and later) is what Core ML is given today."
        )
    return find_converter(form, pixels=pixels)


def _precision(converter: Converter, form: str, asked: str | None) -> str:
    known = converter.precisions
    if asked is not None and asked not in known:
        raise one_of(f"precision of --model as {form}", asked, list(known))
    return asked or known[0]


def _about(model: OwnModel, converter: Converter, precision: str) -> dict[str, str]:
    origin = origin_of_own(model, converter.packages_of(precision))
    return {
        "hwnas.version": __version__,
        "hwnas.precision": precision,
        **{f"hwnas.{name}": text for name, text in origin.items()},
    }


def _dataset(model: OwnModel, options: ExportOptions) -> Dataset | None:
    if options.dataset is None:
        return None
    data = find_dataset(options.dataset, options.data_dir, options.selection)
    if len(data.labels) != model.classes:
        raise UserError(
            f"{options.dataset} has {len(data.labels)} classes, but {model.name} returns "
            f"{model.classes} scores: name another --dataset, or none."
        )
    return data


def _calibration(
    model: OwnModel, converter: Converter, data: Dataset | None, fed: ImageInput
) -> NDArray[np.float32]:
    """Return the images (n, 3, H, W) to calibrate 8-bit values by, as the file takes them."""
    converter.require_quantiser()
    if data is None:
        raise UserError(
            "8-bit values are calibrated on training images, but none are known for a module "
            "of your own: name them with --dataset, such as --dataset parquet:PATH."
        )
    return calibration_images(data, model.input_shape[-1], fed)
