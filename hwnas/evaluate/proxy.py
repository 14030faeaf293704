"""The small geometry at which candidates are scored in place of the one they are deployed at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError

if TYPE_CHECKING:
    from hwnas.spaces import RcnetSpace

PROXY_WIDTH = 0.25
PROXY_RESOLUTION = 16
SMALLEST_RESOLUTION = 8


@dataclass(frozen=True, slots=True)
class Proxy:
    """What a user asks of that geometry.

    Attributes:
        width: channel multiplier; None for the usual one.
        resolution: input height and width in pixels; None for the usual one.
    """

    width: float | None = None
    resolution: int | None = None

    def require_within(self, space: RcnetSpace) -> None:
        """Check what was given against the deployed geometry.

        Raises:
            UserError: it is larger, or too small for a network.
        """
        if self.width is not None and not 0 < self.width <= space.width:
            raise UserError(
                f"--proxy-width must be above 0 and at most {space.width:g}, the width of "
                f"{space.name}, but got {self.width:g}."
            )
        size = self.resolution
        if size is not None and not SMALLEST_RESOLUTION <= size <= space.resolution:
            raise UserError(
                f"--proxy-resolution must be from {SMALLEST_RESOLUTION} to {space.resolution} px, "
                f"the size of {space.name}, but got {size}."
            )

    def space(self, space: RcnetSpace, classes: int) -> RcnetSpace:
        """Return `space` at this geometry; see `proxy_space`."""
        return proxy_space(space, classes, **self.to_json())

    def resolution_of(self, space: RcnetSpace) -> int:
        """Return the resolution at which candidates of `space` are scored."""
        return min(self.resolution or PROXY_RESOLUTION, space.resolution)

    def to_json(self) -> dict[str, Any]:
        """Return what was given, so that a default that is added changes nothing."""
        return {name: value for name, value in asdict(self).items() if value is not None}


USUAL_PROXY = Proxy()
"""What holds where nothing else was asked for."""


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
    # The numbers above are told in a help text, which does not wait for all spaces.
    from hwnas.spaces import RcnetSpace

    width = min(width, space.width)
    resolution = min(resolution, space.resolution)
    suffix = "" if width == 1 else f"-w{width:g}"
    return RcnetSpace(f"rcnet-{resolution}px-{classes}c{suffix}", resolution, classes, width)
