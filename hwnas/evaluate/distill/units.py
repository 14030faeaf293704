"""A network in units that can be swapped: same shapes at both ends, whatever blocks lie between.

An empty stage keeps the channels of the stage before it, so stages that may be empty share a unit
with a neighbour: stages 3 and 4, and stage 5 with the head.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES, stage_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.graph import Graph, Node
    from hwnas.spaces import Arch

UNITS = ((0,), (1,), (2,), (3, 4), (5,))
"""The stages of each unit; the head belongs to the last one, and the stem is a part of its own."""

FRAME: Arch = (5, 6, 5, 0, 0, 0) * STAGES
"""What a unit is written into, to be written as an architecture. Blocks behind the first one of a
stage are sorted in every unit that is scored, so that none is the frame's own."""

Part: TypeAlias = "tuple[Node, ...]"

_STAGE = re.compile(r"stage(\d+)\.")


def parts_of(graph: Graph) -> list[Part]:
    """Return the nodes of the stem and of each unit, in order; each reads the one before."""
    parts: list[list[Node]] = [[] for _ in range(len(UNITS) + 1)]
    current = 0
    for node in graph:
        if match := _STAGE.match(node.name):
            stage = int(match[1])
            current = 1 + next(unit for unit, stages in enumerate(UNITS) if stage in stages)
        elif not node.name.startswith("stem."):
            current = len(UNITS)
        parts[current].append(node)
    return [tuple(part) for part in parts]


def swapped(host: Arch, guest: Arch, unit: int) -> Arch:
    """Return `host` with one unit of `guest`."""
    inside = {
        stage * STAGE_POSITIONS + place for stage in UNITS[unit] for place in range(STAGE_POSITIONS)
    }
    pairs = enumerate(zip(host, guest, strict=True))
    return tuple(theirs if place in inside else ours for place, (ours, theirs) in pairs)


def differing_units(left: Arch, right: Arch) -> Sequence[int]:
    """Return the units in which two networks differ."""
    return [unit for unit in range(len(UNITS)) if swapped(left, right, unit) != left]


def units_of(arch: Arch) -> list[Arch]:
    """Return each unit of a canonical network in turn, written into the frame."""
    return [swapped(FRAME, ordered(arch), unit) for unit in range(len(UNITS))]


def ordered(arch: Arch) -> Arch:
    """Return a canonical network with the blocks of every stage sorted, but for the first."""
    stages = []
    for stage in range(STAGES):
        first, *others = [block for block in stage_of(arch, stage) if block] or [0]
        blocks = [first, *sorted(others)]
        stages += blocks + [0] * (STAGE_POSITIONS - len(blocks))
    return tuple(stages)
