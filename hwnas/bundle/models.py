"""Models for a device, each with what shows that it is the one that ran there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hwnas.bundle import probe
from hwnas.bundle.manifest import TensorFacts, TimedModel
from hwnas.errors import UserError
from hwnas.graph import random_weights
from hwnas.targets.backend import local_backend
from hwnas.targets.device_models import device_models
from hwnas.targets.shared.artifact import Artifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.device import DeviceProfile
    from hwnas.graph import Graph
    from hwnas.targets.backend import Backend
    from hwnas.targets.device_models import DeviceModels
    from hwnas.targets.shared.interface import Interface


HALF_TOLERANCE = 0.2
"""Where Core ML may use the GPU or the Neural Engine. They compute in float16 whatever the file
says (Apple, "Typed Execution"), each in an order of its own: a change of 5e-4 of every weight, half
of float16's last place, moves the output of 139 operations with random weights by 0.03."""


class Maker(Protocol):
    """Makes models of one format and precision."""

    @property
    def form(self) -> str:
        """The format, as in `--format`."""

    @property
    def suffix(self) -> str:
        """Of the files."""

    def make(self, graph: Graph) -> tuple[Artifact, TimedModel]:
        """Return a model with random weights, and what a device should say of it."""


@dataclass(frozen=True, slots=True)
class RunHere:
    """Models whose runtime runs on this machine too, which tells what they should give."""

    backend: Backend

    @property
    def form(self) -> str:
        """The format, as in `--format`."""
        return self.backend.form

    @property
    def suffix(self) -> str:
        """Of the files."""
        return f".{self.backend.form}"

    def make(self, graph: Graph) -> tuple[Artifact, TimedModel]:
        """Return a model with random weights, and what a device should say of it."""
        model = self.backend.emit(graph, random_weights(graph, seed=0))
        session = self.backend.load(model, 1)
        face = session.interface
        output = session.respond(probe.given(face.input_shape, face.input_dtype))
        artifact = Artifact.single(model)
        tolerance = probe.TOLERANCES[self.backend.precision]
        return artifact, _timed(artifact, face, output, tolerance)


@dataclass(frozen=True, slots=True)
class RunElsewhere:
    """Models whose runtime runs on devices only; an executor of the format tells their outputs.

    Attributes:
        models: of the runtime.
        tolerance: how far a device may be off.
    """

    models: DeviceModels
    tolerance: float

    @property
    def form(self) -> str:
        """The format, as in `--format`."""
        return self.models.form

    @property
    def suffix(self) -> str:
        """Of the files."""
        return self.models.suffix

    def make(self, graph: Graph) -> tuple[Artifact, TimedModel]:
        """Return a model with random weights, and what a device should say of it."""
        artifact = self.models.emit(graph, random_weights(graph, seed=0))
        face = self.models.interface(graph)
        values = probe.given(face.input_shape, face.input_dtype)
        output = self.models.execute(graph, artifact, values)
        return artifact, _timed(artifact, face, output, self.tolerance)


def _timed(
    artifact: Artifact, face: Interface, output: NDArray[np.generic], tolerance: float
) -> TimedModel:
    return TimedModel(
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        input=_tensor(face.input_shape, face.input_dtype),
        output=_tensor(face.output_shape, face.output_dtype),
        expected=probe.sampled(output),
        tolerance=tolerance,
    )


def _tensor(shape: tuple[int, ...], dtype: str) -> TensorFacts:
    return TensorFacts.model_validate({"shape": shape, "dtype": dtype})


def _tolerance(profile: DeviceProfile) -> float:
    """Return how far an output may be off on a device."""
    stored = probe.TOLERANCES[profile.precision]
    return stored if profile.compute_units == "cpu" else max(stored, HALF_TOLERANCE)


def maker_of(profile: DeviceProfile) -> Maker:
    """Return what makes the models of a target.

    Raises:
        UserError: nothing here writes models for its runtime.
        MissingPackage: the package that runs its models here is not installed.
    """
    # tflite-runtime reads the files of its successor, which runs here without a Python of its own.
    runtime = "tflite" if profile.runtime == "tflite-runtime" else profile.runtime
    backend = local_backend(runtime, profile.precision)
    if backend is None:
        elsewhere = device_models(profile.runtime, profile.export_format, profile.precision)
        if elsewhere is not None:
            return RunElsewhere(elsewhere, _tolerance(profile))
        raise UserError(
            f"profiles/{profile.name}.toml: nothing here makes models for {profile.runtime} in "
            f"{profile.precision} that can be timed on a device."
        )
    backend.version()
    return RunHere(backend)
