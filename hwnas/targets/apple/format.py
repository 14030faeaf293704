"""What Core ML's two formats have in common: iOS versions, and Core ML itself, on a Mac."""
# ruff: noqa: D102 - `Format` says what each of these is for

from __future__ import annotations

import platform
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from hwnas.targets.apple import require, versions
from hwnas.targets.apple.releases import RELEASES
from hwnas.targets.shared.format import Format

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.interface import Interface


class CoreMl(Format):
    """A format that hwnas's own executors run: Core ML itself runs on Apple devices only.

    Making one raises MissingPackage. What such a file gives to arrays is asked of these, too: for
    devices that are to time it.

    Attributes:
        checked: what to say behind the first system that runs a file.
    """

    calibrated = False
    outputs = "probabilities"
    fast = False
    checked = ""

    def __init__(self) -> None:
        require("proto.Model_pb2")

    def facts(self, artifact: Artifact) -> dict[str, Any]:
        version = versions.required_version(self.specification(artifact))
        system = f"iOS {RELEASES[version]} and later{self.checked}"
        return {"target_os": system, "specification_version": version}

    def native(
        self, artifact: Artifact, pixels: NDArray[np.uint8], images: ImageInput
    ) -> tuple[str, NDArray[Any]] | None:
        """Return what Core ML gives, on a Mac; elsewhere its module is not even imported."""
        if platform.system() != "Darwin":
            return None
        from hwnas.targets.apple import native

        return native.NAME, native.probabilities(artifact, self.suffix, pixels, images.labels)

    @abstractmethod
    def specification(self, artifact: Artifact) -> bytes:
        """Return the protobuf of a model."""

    @abstractmethod
    def interface(self, graph: Graph) -> Interface:
        """Return what a graph's model of arrays reads and writes."""

    @abstractmethod
    def run(self, artifact: Artifact, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the output of a model of arrays for an input, both as the file declares them."""
