"""Published networks by name, to be timed beside a result at its resolution, classes and width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.spaces.mobilenet import mobilenet_v2
from hwnas.spaces.mobilenet_v3 import mobilenet_v3_small
from hwnas.spaces.shufflenet import shufflenet_v2

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.graph import Graph

BASELINES: dict[str, Callable[[int, int, float], Graph]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3_small,
    "shufflenet_v2": shufflenet_v2,
}
"""Name to a function of resolution, classes and channel multiplier."""
