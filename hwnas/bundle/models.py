"""Models for a device, each with what shows that it is the one that ran there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hwnas.bundle import probe
from hwnas.bundle.manifest import TensorFacts, TimedModel
from hwnas.errors import UserError
from hwnas.graph import random_weights
from hwnas.targets.backend import device_format, local_backend
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hwnas.device import DeviceProfile
    from hwnas.graph import Graph
    from hwnas.targets.apple.format import CoreMl
    from hwnas.targets.backend import Backend
    from hwnas.targets.shared.interface import Interface


SPARE = 1.1
"""Room that is asked for, as a multiple of the weights."""
HALF_TOLERANCE = 0.2
"""Where Core ML may use the GPU or the Neural Engine. They compute in float16 whatever the file
says (Apple, "Typed Execution"), each in an order of its own: a change of 5e-4 of every weight, half
of float16's last place, moves the output of 139 operations with random weights by 0.03."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes models of one format and precision.

    Attributes:
        form: the format, as in `--format`.
        suffix: of the files.
        tolerance: how far the output on a device may be off.
        answered: a graph to its model with random weights, what that reads and writes, and what it
            gives for `probe.given`: by its runtime, or an executor of the format where only devices
            have that.
    """

    form: str
    suffix: str
    tolerance: float
    answered: Callable[[Graph], tuple[Artifact, Interface, NDArray[np.generic]]]

    def make(self, graph: Graph) -> tuple[Artifact, TimedModel]:
        """Return a model with random weights, and what a device should say of it."""
        artifact, face, output = self.answered(graph)
        return artifact, TimedModel(
            sha256=artifact.sha256,
            size_bytes=artifact.size_bytes,
            input=_tensor(face.input_shape, face.input_dtype),
            output=_tensor(face.output_shape, face.output_dtype),
            expected=probe.sampled(output),
            tolerance=self.tolerance,
        )


def _by_runtime(backend: Backend, graph: Graph) -> tuple[Artifact, Interface, NDArray[np.generic]]:
    model = backend.emit(graph, random_weights(graph, seed=0))
    session = backend.load(model, 1)
    face = session.interface
    output = session.respond(probe.given(face.input_shape, face.input_dtype))
    return Artifact.single(model), face, output


def _by_executor(
    form: CoreMl, precision: str, graph: Graph
) -> tuple[Artifact, Interface, NDArray[np.generic]]:
    artifact = form.emit(Content(graph, random_weights(graph, seed=0), precision=precision))
    face = form.interface(graph)
    output = form.run(artifact, probe.given(face.input_shape, face.input_dtype))
    return artifact, face, output.reshape(face.output_shape)


def _tensor(shape: tuple[int, ...], dtype: str) -> TensorFacts:
    return TensorFacts.model_validate({"shape": shape, "dtype": dtype})


def maker_of(profile: DeviceProfile) -> Maker:
    """Return what makes the models of a target.

    Raises:
        UserError: nothing here writes models for its runtime.
        MissingPackage: the package that runs its models here is not installed.
    """
    # tflite-runtime reads the files of its successor, which runs here without a Python of its own.
    runtime = "tflite" if profile.runtime == "tflite-runtime" else profile.runtime
    tolerance = probe.TOLERANCES[profile.precision]
    if (backend := local_backend(runtime, profile.precision)) is not None:
        backend.version()
        return Maker(backend.form, f".{backend.form}", tolerance, partial(_by_runtime, backend))
    form = device_format(profile.runtime, profile.export_format)
    if form is None:
        raise UserError(
            f"profiles/{profile.name}.toml: nothing here makes models for {profile.runtime} in "
            f"{profile.precision} that can be timed on a device."
        )
    if profile.compute_units != "cpu":
        tolerance = max(tolerance, HALF_TOLERANCE)
    executed = partial(_by_executor, form, profile.precision)
    return Maker(form.name, form.suffix, tolerance, executed)


def room(folder: Path, graphs: Iterable[Graph]) -> tuple[float, float]:
    """Return the GB that the models of graphs need in a folder, and those that are free there."""
    needed = SPARE * sum(4 * graph.params for graph in graphs)
    place = next(each for each in folder.absolute().parents if each.exists())
    return needed / 1e9, shutil.disk_usage(place).free / 1e9
