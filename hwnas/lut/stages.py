"""The keys of a space laid out as in a network: by stage, first and further blocks apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwnas.spaces.blocks import BLOCK_TYPES
from hwnas.spaces.fillings import STAGE_POSITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.spaces import Key, RcnetSpace


@dataclass(frozen=True, slots=True)
class Place:
    """Where blocks of one shape stand.

    Attributes:
        stage: number of the stage.
        first: whether it is the stage's first filled position, which changes channels.
        keys: by block name, "t1" to "t6"; equal shapes of two stages share their keys.
    """

    stage: int
    first: bool
    keys: Mapping[str, Key]

    @property
    def shape(self) -> str:
        """Channels in and out, stride and resolution in pixels, e.g. "24-32 /2 56px"."""
        key = next(iter(self.keys.values()))
        return f"{key.in_channels}-{key.out_channels} /{key.stride} {key.resolution}px"


def places(space: RcnetSpace) -> list[Place]:
    """Return every place of a space in the order of a network.

    A stage that may follow an empty one has several first places, by the channels it then reads.
    """
    found: dict[tuple[int, bool, Key], None] = {}
    for same_type in space.skeletons():
        arch = same_type[0]
        stages = [arch[at : at + STAGE_POSITIONS] for at in range(0, len(arch), STAGE_POSITIONS)]
        filled = [number for number, types in enumerate(stages) if any(types)]
        repeated = tuple(max(types) for types in stages for _ in types)
        keys = space.parts(repeated)[1:-1]
        for index, stage in enumerate(filled):
            first, further = keys[index * STAGE_POSITIONS : index * STAGE_POSITIONS + 2]
            found[stage, True, first] = found[stage, False, further] = None
    order = sorted(found, key=lambda place: (place[0], not place[1], place[2]))
    names = [f"t{number}" for number in BLOCK_TYPES]
    return [
        Place(stage, first, {name: replace(key, block=name) for name in names})
        for stage, first, key in order
    ]


def ends(space: RcnetSpace) -> list[Key]:
    """Return the keys that no stage holds: stem and heads."""
    return [key for key in space.lookup_keys() if key.block in ("stem", "head")]
