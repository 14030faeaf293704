"""Which target and which space are meant where the user names only one of them, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.device import find_target
from hwnas.spaces import RcnetSpace, find_space

if TYPE_CHECKING:
    from hwnas.lut.library import Library


def choose(
    library: Library, target: str | None, space: str | None, geometry: dict[str, Any]
) -> tuple[str | None, RcnetSpace]:
    """Return target and space: as given, else those of the newest table of the workspace."""
    latest = library.latest()
    if target is None and latest is not None and space in (None, latest[1]):
        target = latest[0]
    if space is None:
        space = _default_space(library, target, latest)
    return target, find_space(space, **geometry)


def _default_space(library: Library, target: str | None, latest: tuple[str, str] | None) -> str:
    if latest is not None and target in (None, latest[0]):
        return latest[1]
    if target is None:
        return "rcnet-imagenet"
    spaces = [s for t, s in library.names() if t == target]
    default = find_target(target).default_space
    return default if default in spaces or not spaces else spaces[0]
