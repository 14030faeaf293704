"""Which fillings of six stages of six positions are networks, and which are the same one.

Nothing here depends on channels or resolutions. Empty positions are skipped, so only the order of
the types inside a stage matters.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.spaces.blocks import BLOCK_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from hwnas.spaces.space import Arch, Element

STAGES = 6
STAGE_POSITIONS = 6
POSITIONS = STAGES * STAGE_POSITIONS


class StageFillings:
    """The networks of a space as fillings of its positions; see `Space`."""

    @property
    def required_stages(self) -> tuple[int, ...]:
        """Stages that hold at least one block, so that every stride of the skeleton exists."""
        return (0, 1, 2, 4)

    def parse(self, text: str) -> Arch:
        """Return the architecture written as 36 type numbers ("5,0,... | ...") or as "s0".

        Raises:
            UserError: wrong count, unknown type, or an empty stage that must be filled.
        """
        if text.strip().lower() == "s0":
            return self.start()
        fields = [field.strip() for field in text.replace("|", ",").split(",") if field.strip()]
        if len(fields) != POSITIONS:
            raise UserError(
                f"an architecture has {POSITIONS} type numbers, but {len(fields)} were given. "
                'Write for instance "5,0,0,0,0,0|5,0,0,0,0,0|..." or "s0".'
            )
        wrong = [f for f in fields if not (f.isdigit() and (int(f) == 0 or int(f) in BLOCK_TYPES))]
        if wrong:
            types = f"1 to {max(BLOCK_TYPES)} are types"
            raise UserError(f"unknown block type {wrong[0]!r}: 0 is empty, {types}.")
        arch = tuple(int(field) for field in fields)
        self.check(arch)
        return arch

    def check(self, arch: Arch) -> None:
        """Raise UserError unless `arch` fills every required stage."""
        for stage in self.required_stages:
            if not any(stage_of(arch, stage)):
                first = stage * STAGE_POSITIONS
                raise UserError(
                    f"stage {stage} (positions {first} to {first + STAGE_POSITIONS - 1}) is empty, "
                    "but it carries a stride of the skeleton: fill at least one of its positions."
                )

    def contains(self, arch: Arch) -> bool:
        """Return whether every required stage holds a block."""
        return all(any(stage_of(arch, stage)) for stage in self.required_stages)

    @property
    def choices(self) -> list[tuple[int, ...]]:
        """Types that each position may hold."""
        return [(0, *BLOCK_TYPES)] * POSITIONS

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """Positions of each stage."""
        firsts = range(0, POSITIONS, STAGE_POSITIONS)
        return [tuple(range(first, first + STAGE_POSITIONS)) for first in firsts]

    @property
    def size(self) -> int:
        """How many different networks there are: sequences of types, stage by stage."""
        sequences = sum(len(BLOCK_TYPES) ** length for length in range(STAGE_POSITIONS + 1))
        return prod(sequences - (stage in self.required_stages) for stage in range(STAGES))

    def networks(self) -> Iterator[Arch]:
        """Yield every network once; there are more than anyone can wait for."""
        for filled in itertools.product(*map(self._stage_fillings, range(STAGES))):
            yield tuple(itertools.chain.from_iterable(filled))

    def _stage_fillings(self, stage: int) -> Iterator[Arch]:
        for length in range(int(stage in self.required_stages), STAGE_POSITIONS + 1):
            for types in itertools.product(BLOCK_TYPES, repeat=length):
                yield (*types, *(0,) * (STAGE_POSITIONS - length))

    def format(self, arch: Arch) -> str:
        """Return the text that `parse` reads, stages separated by "|"."""
        return "|".join(",".join(map(str, types)) for types in self._stages_of(arch))

    def canonical(self, arch: Arch) -> Arch:
        """Return the architecture with each stage's types packed to its first positions.

        Architectures with equal canonical forms are the same network.
        """
        return packed_stages(arch)

    def start(self) -> Arch:
        """Return S0: type 5 at the first position of each required stage."""
        return self._one_per_stage(
            tuple(5 * (stage in self.required_stages) for stage in range(STAGES))
        )

    def starts(self) -> Iterator[Arch]:
        """Yield every network of at most one block per stage, S0 first.

        In order of the number of stages that differ from S0: where S0 exceeds a budget, the
        search starts from the nearest one that does not.
        """
        start = [arch_types[0] for arch_types in self._stages_of(self.start())]
        choices = [
            (*BLOCK_TYPES, *(() if stage in self.required_stages else (0,)))
            for stage in range(STAGES)
        ]

        def distance(types: Arch) -> tuple[int, Arch]:
            return sum(a != b for a, b in zip(types, start, strict=True)), types

        yield from map(self._one_per_stage, sorted(itertools.product(*choices), key=distance))

    def skeletons(self) -> list[list[Arch]]:
        """Return, for each choice of filled stages, the one-block-per-stage network of each type.

        The networks of one choice have the same channels and resolutions at the same places.
        """
        choices = [(1,) if stage in self.required_stages else (0, 1) for stage in range(STAGES)]
        return [
            [self._one_per_stage(tuple(block * keep for keep in filled)) for block in BLOCK_TYPES]
            for filled in itertools.product(*choices)
        ]

    def _one_per_stage(self, types: Arch) -> Arch:
        empty = (0,) * (STAGE_POSITIONS - 1)
        return tuple(itertools.chain.from_iterable((block, *empty) for block in types))

    def _stages_of(self, arch: Arch) -> list[Arch]:
        return [stage_of(arch, stage) for stage in range(STAGES)]

    def elements(self, arch: Arch) -> list[Element]:
        """Return the (position, type) pairs that can still be added."""
        free = (position for position, block in enumerate(arch) if not block)
        return [(position, block) for position in free for block in BLOCK_TYPES]

    def additions(self, arch: Arch) -> dict[Arch, list[Element]]:
        """Return the canonical networks one block larger, with the elements that lead to each.

        What counts is how many blocks of the stage lie before the new one.
        """
        packed = self.canonical(arch)
        found: dict[Arch, list[Element]] = {}
        for first in range(0, POSITIONS, STAGE_POSITIONS):
            last = first + STAGE_POSITIONS - 1
            places: dict[int, list[int]] = {}
            for position in range(first, last + 1):
                if not arch[position]:
                    before = sum(1 for block in arch[first:position] if block)
                    places.setdefault(first + before, []).append(position)
            for place, positions in places.items():
                for block in BLOCK_TYPES:
                    larger = (*packed[:place], block, *packed[place:last], *packed[last + 1 :])
                    elements = [(position, block) for position in positions]
                    found.setdefault(larger, []).extend(elements)
        return found

    def add(self, arch: Arch, element: Element) -> Arch:
        """Return `arch` with a block at an empty position."""
        position, block = element
        return (*arch[:position], block, *arch[position + 1 :])

    def describe(self, element: Element) -> str:
        """Return an element in words, e.g. "type 3 in stage 2"."""
        position, block = element
        return f"type {block} in stage {position // STAGE_POSITIONS}"

    def sample(self, rng: np.random.Generator) -> Arch:
        """Return a random network; each draw has its own density, so that sizes spread evenly."""
        density = rng.uniform()
        filled = rng.uniform(size=POSITIONS) < density
        arch = rng.integers(1, len(BLOCK_TYPES) + 1, size=POSITIONS) * filled
        for stage in self.required_stages:
            first = stage * STAGE_POSITIONS
            if not arch[first : first + STAGE_POSITIONS].any():
                arch[first] = rng.integers(1, len(BLOCK_TYPES) + 1)
        return self.canonical(tuple(int(block) for block in arch))


def stage_of(arch: Arch, stage: int) -> Arch:
    """Return the types at the positions of one stage."""
    return arch[stage * STAGE_POSITIONS : (stage + 1) * STAGE_POSITIONS]


@lru_cache(maxsize=1 << 16)
def packed_stages(arch: Arch) -> Arch:
    """Return `arch` with each stage's types at its first positions."""
    packed: list[int] = []
    for stage in range(STAGES):
        types = [t for t in stage_of(arch, stage) if t]
        packed += types + [0] * (STAGE_POSITIONS - len(types))
    return tuple(packed)
