"""A network that a graph describes, as a file: emitted by hwnas itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas import __version__
from hwnas.errors import UserError
from hwnas.targets.shared import compute
from hwnas.targets.shared.format import Content, normalised
from hwnas.workflows.export import parity as parities
from hwnas.workflows.export.calibration import calibration_images
from hwnas.workflows.export.draft import Draft
from hwnas.workflows.export.exported_files import about_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.data.dataset import Dataset
    from hwnas.models.network import Network
    from hwnas.progress import Reporter
    from hwnas.targets.shared.format import Format
    from hwnas.workflows.winner import Winner

EXECUTED_MADDS = 30e9
"""Of the images that an executor without fast kernels runs: about twenty seconds."""


def emitted(
    winner: Winner, form: Format, precision: str, origin: Mapping[str, str], reporter: Reporter
) -> Draft:
    """Return the file of a network.

    Args:
        winner: the network.
        form: the format.
        precision: one of the format's.
        origin: provenance, for the file's own metadata.
        reporter: is shown progress.

    Raises:
        CheckFailed: the file would not run on what it is for.
        UserError: the data set is not there.
    """
    space, network = winner.space, winner.network()
    data = winner.fitting_data() if winner.trained else None
    if data is not None:
        data.prepare(space.resolution, reporter)
    content = _content(winner, network, form, precision, data, origin)
    artifact = form.emit(content)
    form.gate(artifact)
    place = winner.dataset, winner.data_dir, winner.selection
    pixels = parities.parity_images(*place, space.resolution)
    reference, effect = _reference(winner, network, form, content, pixels)
    return Draft(
        form=form,
        precision=precision,
        artifact=artifact,
        network=network,
        images=winner.image_input(),
        pixels=pixels,
        reference=reference,
        effect=effect,
        data=data,
        slow_images=int(EXECUTED_MADDS / content.graph.madds),
        name=space.name,
        about=about_name(form.name, precision),
        what=f"the {form.name} file",
        facts={
            "trained": winner.trained,
            "arch": space.format(winner.arch),
            "space": space.name,
        },
    )


def _content(
    winner: Winner,
    network: Network,
    form: Format,
    precision: str,
    data: Dataset | None,
    origin: Mapping[str, str],
) -> Content:
    from hwnas.models.network import fold
    from hwnas.targets.shared.quantisation import calibrate

    graph, stored = winner.space.graph(winner.arch), None
    weights, images = form.adapted(graph, fold(network), winner.image_input(), precision)
    if form.calibrated and precision == "int8":
        data = data or _bundled(winner)
        batch = calibration_images(data, winner.space.resolution, images)
        stored = calibrate(graph, weights, batch)
    metadata = {
        "hwnas.version": __version__,
        "hwnas.space": winner.space.name,
        "hwnas.arch": winner.space.format(winner.arch),
        "hwnas.precision": precision,
        "hwnas.weights": "trained" if winner.trained else "RANDOM: not trained",
        **{f"hwnas.{name}": text for name, text in origin.items()},
    }
    return Content(graph, weights, images, metadata, precision, stored)


def _bundled(winner: Winner) -> Dataset:
    """Return the data that 8-bit values of random weights are calibrated by."""
    from hwnas.data.catalog import find_dataset

    if winner.trained:
        raise UserError(
            "8-bit values are calibrated on training images, but none are known for this "
            "checkpoint: name them with --dataset, or --dataset parquet:PATH."
        )
    return find_dataset(parities.DEFAULT_DATA)


def _reference(
    winner: Winner,
    network: Network,
    form: Format,
    content: Content,
    pixels: NDArray[np.uint8],
) -> tuple[parities.Reference, parities.Difference | None]:
    """Return what a file should compute, and in fewer bits how far that is from float32."""
    taken = normalised(pixels, winner.image_input())
    real = parities.torch_outputs(network, taken, form.outputs)
    if content.precision == "fp32":
        return parities.Reference(real, "torch in float64"), None
    arithmetic, values = form.arithmetic(content), normalised(pixels, content.of_images)
    logits = compute.run(content.graph, arithmetic.weights, values, arithmetic.rounded)
    intended = parities.as_outputs(logits, form.outputs)
    change = parities.difference(intended, real)
    rounding = None if arithmetic.rounded is compute.exact else change.rms_rel
    name = f"its {content.precision} arithmetic in float64"
    return parities.Reference(intended, name, rounding), change
