"""The small geometry at which candidates are scored in place of the one they are deployed at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.spaces import RcnetSpace

PROXY_WIDTH = 0.25
PROXY_RESOLUTION = 16
SMALLEST_RESOLUTION = 8


def proxy_space(
    space: RcnetSpace,
    classes: int,
    *,
    width: float | None = None,
    resolution: int | None = None,
) -> RcnetSpace:
    """Return `space` at another geometry: the same archs, the classes of the scoring data.

    A space that is already narrower, or of lower resolution, keeps that.

    Args:
        space: what is deployed.
        classes: of the scoring data.
        width: channel multiplier, or None for the usual one.
        resolution: input height and width in pixels, or None for the usual one.
    """
    # The numbers above are told in a help text, which does not wait for all spaces.
    from hwnas.spaces import RcnetSpace

    width = min(width or PROXY_WIDTH, space.width)
    resolution = min(resolution or PROXY_RESOLUTION, space.resolution)
    suffix = "" if width == 1 else f"-w{width:g}"
    return RcnetSpace(f"rcnet-{resolution}px-{classes}c{suffix}", resolution, classes, width)
