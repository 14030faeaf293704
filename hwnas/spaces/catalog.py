"""Spaces by name, and networks that were published."""

from __future__ import annotations

import re

from hwnas.errors import UserError, one_of
from hwnas.spaces.rcnet import RcnetSpace

SPACES = {
    space.name: space
    for space in (
        RcnetSpace("rcnet-imagenet", 224, 1000),
        RcnetSpace("rcnet-cifar100", 32, 100),
        RcnetSpace("rcnet-cifar10", 32, 10),
        RcnetSpace("rcnet-digits", 16, 10, width=0.25),
    )
}

TABULAR = "tabular:"
"""What the name of a space that is a file begins with; `hwnas.spaces.tabular` reads it."""

PUBLISHED = {
    "rcnet-cifar100": ("5,3,0,1,1,0|5,2,0,3,3,5|5,0,3,3,0,6|0,1,6,0,4,6|5,4,6,0,4,1|0,0,0,0,0,0"),
    "rcnet-imagenet": ("5,1,0,4,0,0|5,0,0,0,1,0|5,2,0,4,0,0|0,1,6,0,4,6|5,3,0,3,6,3|0,0,0,0,6,0"),
    "rcnet-b-imagenet": ("5,3,5,1,0,0|5,2,5,3,3,5|5,5,3,5,5,6|5,1,5,5,4,5|5,4,5,5,4,5|0,5,0,0,0,0"),
}
"""RCNet, RCNet (ImageNet) and RCNet-B of Xiong et al., ICCV 2019, supplement."""


def find_space(
    name: str,
    *,
    input_size: str | None = None,
    classes: int | None = None,
    width: float | None = None,
) -> RcnetSpace:
    """Return a space by name, or "rcnet" with its geometry given.

    Args:
        name: a name of the catalogue, "rcnet", or the name that a geometry was given here.
        input_size: "3x96x96" or "96".
        classes: outputs of the classifier.
        width: channel multiplier.

    Raises:
        UserError: unknown name, a geometry that makes no sense, or a table of networks.
    """
    if name.startswith(TABULAR):
        raise UserError(
            f"the networks of {name} are rows of a file: `hwnas search` and `hwnas pick` choose "
            "among them, but there is nothing to profile, train, export or time."
        )
    custom = input_size is not None or classes is not None or width is not None
    if name in SPACES:
        if custom:
            raise UserError(
                f"space {name!r} has a fixed geometry: use --space rcnet with --input, --classes, "
                "--width for another one."
            )
        return SPACES[name]
    if name == "rcnet":
        if input_size is None or classes is None:
            raise UserError("--space rcnet needs --input (such as 3x96x96) and --classes.")
        return unnamed_space(parse_resolution(input_size), classes, 1.0 if width is None else width)
    match = re.fullmatch(r"rcnet-(\d+)px-(\d+)c(?:-w(\d+(?:\.\d+)?(?:e-\d+)?))?", name)
    if match:
        return unnamed_space(int(match[1]), int(match[2]), float(match[3] or 1))
    raise one_of("space", name, [*SPACES, "rcnet"], "See `hwnas profile --help`.")


def unnamed_space(resolution: int, classes: int, width: float) -> RcnetSpace:
    """Return the space of a geometry that the catalogue does not name; `find_space` knows it."""
    suffix = "" if width == 1 else f"-w{repr(width).removesuffix('.0')}"
    return RcnetSpace(f"rcnet-{resolution}px-{classes}c{suffix}", resolution, classes, width)


def parse_resolution(text: str) -> int:
    """Return the height of a square RGB image size such as "3x96x96" or "96".

    Raises:
        UserError: it is none.
    """
    match = re.fullmatch(r"(?:3x)?(\d+)(?:x(\d+))?", text)
    if not match or (match[2] and match[1] != match[2]):
        raise UserError(f"--input {text!r}: write a square RGB size such as 3x96x96.")
    return int(match[1])
