"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Protocol

from hwnas.options import MACHINE, SPACE, Option

HERE = Path()

Target = Annotated[str | None, Option("Device; see `hwnas targets`.")]
Space = Annotated[
    str | None,
    Option(
        "rcnet-imagenet, rcnet-cifar100, rcnet-cifar10, rcnet-digits, or rcnet with --input and "
        "--classes."
    ),
]
InputSize = Annotated[
    str | None, Option("Input size for --space rcnet, such as 3x96x96.", SPACE, flag="--input")
]
Classes = Annotated[int | None, Option("Classes for --space rcnet.", SPACE)]
Width = Annotated[float | None, Option("Channel multiplier for --space rcnet.", SPACE)]
Workspace = Annotated[
    Path,
    Option(
        "Folder that holds lut/ and runs/.",
        MACHINE,
        default="the current folder",
        envvar="HWNAS_WORKSPACE",
    ),
]


class Geometry(Protocol):
    """Options that say at which size a space is meant."""

    @property
    def input_size(self) -> str | None:
        """Such as 3x96x96."""

    @property
    def classes(self) -> int | None:
        """Of the classifier."""

    @property
    def width(self) -> float | None:
        """Channel multiplier."""


def geometry_of(options: Geometry) -> dict[str, Any]:
    """Return what `hwnas.spaces.find_space` takes beside a name."""
    names = ("input_size", "classes", "width")
    return {name: getattr(options, name) for name in names}
