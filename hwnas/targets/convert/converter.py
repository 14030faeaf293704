"""What is asked of a standard converter: a torch module as a file, and its 8 bits."""
# ruff: noqa: ARG002 - some have no use for some arguments

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from hwnas.graph import ImageInput, Shape
    from hwnas.targets.shared.artifact import Artifact


Texts: TypeAlias = "Mapping[str, str]"
"""Texts by name."""


class Converter(ABC):
    """What writes files of a format.

    Attributes:
        name: for people.
        precisions: that it takes, the default first.
        packages: that it is in, by the names that pip knows.
        quantiser: makes 8 bits of a float32 file, by calibration images; None where the converter
            does so itself, without.
    """

    name: str
    precisions: tuple[str, ...] = ("fp32", "int8")
    packages: tuple[str, ...]
    quantiser: str | None = None

    def packages_of(self, precision: str) -> tuple[str, ...]:
        """Return the packages that write a file, by the names that pip knows."""
        if precision != "int8" or self.quantiser is None:
            return self.packages
        return (*self.packages, self.quantiser.partition(".")[0])

    @abstractmethod
    def convert(
        self, module: nn.Module, example: Tensor, images: ImageInput, about: Texts, precision: str
    ) -> Artifact:
        """Return the module as a file: in float32 and not yet described if there is a quantiser.

        Args:
            module: in evaluation mode.
            example: one input (1, C, H, W).
            images: normalisation and labels.
            about: where it comes from, texts by name.
            precision: one of `precisions`.

        Raises:
            MissingPackage: the converter is not installed.
            UserError: it does not take the module.
        """

    def require_quantiser(self) -> None:  # noqa: B027 - there may be none
        """Raise MissingPackage unless the quantiser is installed."""

    def quantised(self, model: bytes, images: NDArray[np.float32]) -> bytes:
        """Return a float32 file of `convert` in 8 bits: values and weights.

        Args:
            model: a file of one input.
            images: (n, C, H, W) as the file takes them; their extremes set the scales.

        Raises:
            MissingPackage: the quantiser is not installed.
            UserError: it does not take the file.
        """
        raise NotImplementedError

    def described(
        self, artifact: Artifact, shape: Shape, images: ImageInput, about: Texts
    ) -> Artifact:
        """Return a file with labels, normalisation and origin in its format's own fields.

        Args:
            artifact: of a module that takes (1, *shape).
            shape: (3, height, width).
            images: labels, and normalisation as who feeds the file has it.
            about: where it comes from, texts by name.
        """
        return artifact
