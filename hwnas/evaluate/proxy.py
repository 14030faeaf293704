"""The small geometry at which candidates are scored in place of the one they are deployed at."""

from __future__ import annotations

from hwnas.spaces import RcnetSpace

PROXY_WIDTH = 0.25
PROXY_RESOLUTION = 16


def proxy_resolution(space: RcnetSpace) -> int:
    """Return the resolution at which candidates of `space` are scored."""
    return min(PROXY_RESOLUTION, space.resolution)


def proxy_space(
    space: RcnetSpace,
    classes: int,
    *,
    width: float = PROXY_WIDTH,
    resolution: int = PROXY_RESOLUTION,
) -> RcnetSpace:
    """Return `space` at another geometry: the same archs, the classes of the scoring data.

    A space that is already narrower, or of lower resolution, keeps that.
    """
    width = min(width, space.width)
    resolution = min(resolution, space.resolution)
    suffix = "" if width == 1 else f"-w{width:g}"
    return RcnetSpace(f"rcnet-{resolution}px-{classes}c{suffix}", resolution, classes, width)
