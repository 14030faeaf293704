"""The RCNet space: a fixed skeleton with 36 positions, each empty or one of six block types.

Xiong, Mehta, Singh, "Resource Constrained Neural Network Architecture Search", ICCV 2019.
Stem: 3x3 convolution to 32 channels and a fixed block to 16 (expansion 1, its 1x1 kept). Six
stages of six positions follow, then the head. Empty positions are skipped, so only the order of
the types inside a stage matters; the first filled block of a stage changes channels and
resolution, and an empty stage keeps both.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.graph import INPUT, Graph, GraphBuilder
from hwnas.spaces.blocks import BLOCK_TYPES, BlockType, head, inverted_residual, scaled
from hwnas.spaces.key import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from hwnas.spaces.space import Arch, Element

STAGES = 6
STAGE_POSITIONS = 6
POSITIONS = STAGES * STAGE_POSITIONS
STAGE_CHANNELS = (24, 32, 64, 96, 160, 320)
STEM_CHANNELS, FIXED_CHANNELS, HEAD_CHANNELS = 32, 16, 1280
LARGE_INPUT = 64
"""From this resolution on the ImageNet strides are used, below it those for CIFAR."""


@dataclass(frozen=True)
class RcnetSpace:
    """RCNet at one deployment geometry.

    Attributes:
        name: as in table folders, e.g. "rcnet-imagenet".
        resolution: input height and width in pixels.
        classes: outputs of the classifier.
        width: channel multiplier; channels become multiples of 8 unless it is 1.
    """

    name: str
    resolution: int
    classes: int
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.classes < 2 or not 0 < self.width <= 8:
            raise UserError(
                "a space needs resolution >= 8, classes >= 2 and 0 < width <= 8, but got "
                f"resolution={self.resolution}, classes={self.classes}, width={self.width}"
            )

    # Geometry -------------------------------------------------------------------------------

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return (3, self.resolution, self.resolution)

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution."""
        return 2 if self.resolution >= LARGE_INPUT else 1

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Stride of the first filled block of each stage."""
        return (2, 2, 2, 1, 2, 1) if self.resolution >= LARGE_INPUT else (1, 2, 2, 1, 2, 1)

    @property
    def required_stages(self) -> tuple[int, ...]:
        """Stages that hold at least one block, so that every stride of the skeleton exists."""
        return (0, 1, 2, 4)

    def channels(self, stage: int) -> int:
        """Return the width of a stage."""
        return scaled(STAGE_CHANNELS[stage], self.width)

    # Architectures --------------------------------------------------------------------------

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
            raise UserError(f"unknown block type {wrong[0]!r}: 0 is empty, 1 to 6 are types.")
        arch = tuple(int(field) for field in fields)
        self.check(arch)
        return arch

    def check(self, arch: Arch) -> None:
        """Raise UserError unless `arch` fills every required stage."""
        for stage in self.required_stages:
            if not any(_stage(arch, stage)):
                first = stage * STAGE_POSITIONS
                raise UserError(
                    f"stage {stage} (positions {first} to {first + STAGE_POSITIONS - 1}) is empty, "
                    "but it carries a stride of the skeleton: fill at least one of its positions."
                )

    def contains(self, arch: Arch) -> bool:
        """Return whether every required stage holds a block."""
        return all(any(_stage(arch, stage)) for stage in self.required_stages)

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
        return _packed(arch)

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
        return [_stage(arch, stage) for stage in range(STAGES)]

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

    # Parts and graphs -----------------------------------------------------------------------

    def parts(self, arch: Arch) -> tuple[Key, ...]:
        """Return the lookup keys of the network, stem first, head last."""
        return _parts(self, arch)

    def _find_parts(self, arch: Arch) -> tuple[Key, ...]:
        channels = scaled(FIXED_CHANNELS, self.width)
        resolution = -(-self.resolution // self.stem_stride)
        parts = [self._stem_key()]
        for stage in range(STAGES):
            types = tuple(t for t in _stage(arch, stage) if t)
            if types:
                parts += _stage_keys(self, stage, types, channels, resolution)
                channels = self.channels(stage)
                resolution = -(-resolution // self.stage_strides[stage])
        return (*parts, self._head_key(channels, resolution))

    def lookup_keys(self) -> list[Key]:
        """Return every key that some network of the space contains, in network order."""
        found: dict[Key, None] = {}
        for arch in itertools.chain.from_iterable(self.skeletons()):
            repeated = tuple(max(stage) for stage in self._stages_of(arch) for _ in stage)
            found.update(dict.fromkeys(self.parts(repeated)))
        order = {"stem": 0, "head": 2}
        return sorted(
            found,
            key=lambda k: (order.get(k.block, 1), -k.resolution, k.out_channels, k.in_channels, k),
        )

    def part_graph(self, key: Key) -> Graph:
        """Return the graph of one part alone, with the part's input as its input.

        Raises:
            KeyError: the key belongs to another space.
        """
        if key == self._stem_key():
            builder = GraphBuilder(self.input_shape)
            self._add_stem(builder)
            return builder.build()
        builder = GraphBuilder((key.in_channels, key.resolution, key.resolution))
        if key.block == "head":
            head(builder, INPUT, self._head_channels, self.classes)
        else:
            block = BLOCK_TYPES[int(key.block.removeprefix("t"))]
            inverted_residual(builder, key.block, INPUT, block, key.out_channels, key.stride)
        return builder.build()

    def graph(self, arch: Arch) -> Graph:
        """Return the whole network.

        Nodes are named by stage, order and type, so two networks share the names, and with the
        same seed the initial weights, of the blocks that they have in common.
        """
        self.check(arch)
        builder = GraphBuilder(self.input_shape)
        value = self._add_stem(builder)
        for stage in range(STAGES):
            for order, block in enumerate(t for t in _stage(arch, stage) if t):
                stride = self.stage_strides[stage] if order == 0 else 1
                value = inverted_residual(
                    builder,
                    f"stage{stage}.{order}.t{block}",
                    value,
                    BLOCK_TYPES[block],
                    self.channels(stage),
                    stride,
                )
        head(builder, value, self._head_channels, self.classes)
        return builder.build()

    @property
    def _head_channels(self) -> int:
        return scaled(HEAD_CHANNELS, self.width)

    def _add_stem(self, builder: GraphBuilder) -> str:
        stem = scaled(STEM_CHANNELS, self.width)
        value = builder.conv("stem.conv", INPUT, stem, kernel=3, stride=self.stem_stride)
        fixed = scaled(FIXED_CHANNELS, self.width)
        return inverted_residual(builder, "stem.fixed", value, BlockType(1), fixed, 1)

    def _stem_key(self) -> Key:
        return Key("stem", 3, scaled(FIXED_CHANNELS, self.width), self.stem_stride, self.resolution)

    def _head_key(self, channels: int, resolution: int) -> Key:
        return Key("head", channels, self.classes, 1, resolution)


def _stage(arch: Arch, stage: int) -> Arch:
    return arch[stage * STAGE_POSITIONS : (stage + 1) * STAGE_POSITIONS]


@lru_cache(maxsize=1 << 16)
def _packed(arch: Arch) -> Arch:
    packed: list[int] = []
    for stage in range(STAGES):
        types = [t for t in _stage(arch, stage) if t]
        packed += types + [0] * (STAGE_POSITIONS - len(types))
    return tuple(packed)


@lru_cache(maxsize=1 << 12)
def _parts(space: RcnetSpace, arch: Arch) -> tuple[Key, ...]:
    """Remember the last ones: every cost of a network asks for the same parts."""
    return space._find_parts(arch)


@lru_cache(maxsize=1 << 16)
def _stage_keys(
    space: RcnetSpace, stage: int, types: Arch, in_channels: int, resolution: int
) -> list[Key]:
    channels, stride = space.channels(stage), space.stage_strides[stage]
    first = Key(f"t{types[0]}", in_channels, channels, stride, resolution)
    after = -(-resolution // stride)
    return [first] + [Key(f"t{block}", channels, channels, 1, after) for block in types[1:]]
