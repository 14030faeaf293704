"""`hwnas export`: emit, check against torch on images, and only then hand over."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas import __version__
from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.files import write_json
from hwnas.targets.shared import compute
from hwnas.targets.shared.format import Content, normalised
from hwnas.workflows.export import parity as parities
from hwnas.workflows.export import precision_effect as effects
from hwnas.workflows.export.exported import about_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.data.dataset import Dataset
    from hwnas.graph import ImageInput, Weights
    from hwnas.models.network import Network
    from hwnas.progress import Reporter
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.format import Format
    from hwnas.targets.shared.quantisation import Affine
    from hwnas.workflows.winner import Winner

EXECUTED_MADDS = 30e9
"""Of the images that an executor without fast kernels runs: about twenty seconds."""


@dataclass(frozen=True, slots=True)
class Demand:
    """How a file is wanted.

    Attributes:
        precision: one of the format's.
        images: how many held-out images the accuracy is measured on; 0 for none.
        max_drop: percentage points of top-1 that it may lose.
    """

    precision: str
    images: int = effects.ACCURACY_IMAGES
    max_drop: float = effects.MAX_DROP


def usual(winner: Winner) -> tuple[str, str | None]:
    """Return format and precision of the target that a network was searched for."""
    if winner.target is None:
        return "onnx", None
    profile = find_target(winner.target)
    return profile.export_format, profile.precision


def export(
    winner: Winner,
    form: Format,
    demand: Demand,
    folder: Path,
    origin: Mapping[str, str],
    reporter: Reporter,
) -> dict[str, Any]:
    """Write the verified file and a JSON file beside it; return the content of the latter.

    Args:
        winner: the network.
        form: the format.
        demand: precision and checks.
        folder: made when missing.
        origin: provenance, for the file's own metadata.
        reporter: is shown progress.

    Raises:
        CheckFailed: the file differs from torch, loses too much accuracy or would not run;
            nothing is written.
        UserError: the folder cannot be written, or the data set is not there.
    """
    network = winner.network()
    if (trained_on := _dataset(winner)) is not None:
        trained_on.prepare(winner.space.resolution, reporter)
    content = _content(winner, network, form, demand.precision, origin)
    artifact = form.emit(content)
    form.gate(artifact)
    resolution = winner.space.resolution
    data = (winner.dataset, winner.data_dir, winner.selection)
    pixels = parities.parity_images(*data, resolution)
    found = _parity(winner, network, form, content, artifact, pixels, reporter)
    if demand.precision != "fp32":
        accuracy = _accuracy(winner, network, form, demand, artifact, reporter)
        found["precision_effect"]["accuracy"] = accuracy and accuracy.to_json()
    suffix = "" if demand.precision == "fp32" else f"-{demand.precision}"
    path = folder / f"{winner.space.name}{suffix}{form.suffix}"
    artifact.write(path)
    result = {
        "file": str(path),
        "format": form.name,
        "precision": demand.precision,
        "trained": winner.trained,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "arch": winner.space.format(winner.arch),
        "space": winner.space.name,
        **form.facts(artifact),
        "slow_paths": form.slow_paths(artifact),
        **found,
    }
    write_json(folder / about_name(form.name, demand.precision), result)
    return result


def _content(
    winner: Winner, network: Network, form: Format, precision: str, origin: Mapping[str, str]
) -> Content:
    from hwnas.models.network import fold

    graph, calibrated = winner.space.graph(winner.arch), form.calibrated and precision == "int8"
    weights, images = form.adapted(graph, fold(network), winner.image_input(), precision)
    return Content(
        graph=graph,
        weights=weights,
        images=images,
        metadata=_metadata(winner, precision, origin),
        precision=precision,
        stored=_stored(winner, weights, images) if calibrated else None,
    )


def _stored(winner: Winner, weights: Weights, images: ImageInput) -> Mapping[str, Affine]:
    """Calibrate 8-bit values on training images, or on bundled ones for random weights."""
    from hwnas.data.catalog import find_dataset
    from hwnas.targets.shared.quantisation import calibrate

    data = _dataset(winner)
    if data is None:
        if winner.trained:
            raise UserError(
                "8-bit values are calibrated on training images, but none are known for this "
                "checkpoint: name them with --dataset, or --dataset parquet:PATH."
            )
        data = find_dataset(parities.DEFAULT_DATA)
    batch = effects.calibration_images(data, winner.space.resolution, images)
    return calibrate(winner.space.graph(winner.arch), weights, batch)


def _dataset(winner: Winner) -> Dataset | None:
    """Return the data that the winner was trained on, if it was."""
    data = winner.data() if winner.trained else None
    return data if data is not None and len(data.labels) == winner.space.classes else None


def _metadata(winner: Winner, precision: str, origin: Mapping[str, str]) -> dict[str, str]:
    return {
        "hwnas.version": __version__,
        "hwnas.space": winner.space.name,
        "hwnas.arch": winner.space.format(winner.arch),
        "hwnas.precision": precision,
        "hwnas.weights": "trained" if winner.trained else "RANDOM: not trained",
        **{f"hwnas.{name}": text for name, text in origin.items()},
    }


def _parity(
    winner: Winner,
    network: Network,
    form: Format,
    content: Content,
    artifact: Artifact,
    pixels: NDArray[np.uint8],
    reporter: Reporter,
) -> dict[str, Any]:
    """Hold a file against what it should compute, and that against float32 in fewer bits.

    Raises:
        CheckFailed: the file computes something else.
    """
    taken = normalised(pixels, winner.image_input())
    real = parities.torch_outputs(network, taken, form.outputs)
    reference, effect = parities.Reference(real, "torch in float64"), {}
    if content.precision != "fp32":
        arithmetic, values = form.arithmetic(content), normalised(pixels, content.images)
        logits = compute.run(content.graph, arithmetic.weights, values, arithmetic.rounded)
        intended = parities.as_outputs(logits, form.outputs)
        change = parities.difference(intended, real)
        rounding = None if arithmetic.rounded is compute.exact else change.rms_rel
        name = f"its {content.precision} arithmetic in float64"
        reference = parities.Reference(intended, name, rounding)
        effect = {"precision_effect": asdict(change)}
    what = f"the {form.name} file"
    found = parities.checked(form, artifact, pixels, content.images, reference, reporter, what=what)
    return {**found, **effect}


def _accuracy(
    winner: Winner,
    network: Network,
    form: Format,
    demand: Demand,
    artifact: Artifact,
    reporter: Reporter,
) -> effects.Accuracy | None:
    """Return the accuracy on held-out images of the training's data set, if there is one.

    Raises:
        CheckFailed: it is too far below that of the float network.
    """
    data = _dataset(winner)
    images = demand.images
    if not form.fast:
        images = min(images, int(EXECUTED_MADDS / winner.space.graph(winner.arch).madds))
    if data is None or images == 0:
        return None
    with reporter.task(f"accuracy of the {demand.precision} file", images) as step:

        def execute(pixels: NDArray[np.uint8]) -> NDArray[Any]:
            found = form.execute(artifact, pixels, data.images)
            step(len(pixels))
            return found

        accuracy = effects.measure_accuracy(network, execute, data, winner.space.resolution, images)
    effects.require_accuracy(accuracy, demand.max_drop, f"the {form.name} file")
    return accuracy
