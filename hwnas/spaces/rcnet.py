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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hwnas.errors import UserError
from hwnas.graph import INPUT, Graph, GraphBuilder
from hwnas.spaces.blocks import (
    ALL_STRIDES_FROM,
    BLOCK_TYPES,
    BlockType,
    head,
    inverted_residual,
    scaled,
)
from hwnas.spaces.fillings import STAGE_POSITIONS, STAGES, StageFillings, stage_of
from hwnas.spaces.space import Key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.spaces.space import Arch

STAGE_CHANNELS = (24, 32, 64, 96, 160, 320)
STEM_CHANNELS, FIXED_CHANNELS, HEAD_CHANNELS = 32, 16, 1280


@dataclass(frozen=True)
class RcnetSpace(StageFillings):
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
        return 2 if self.resolution >= ALL_STRIDES_FROM else 1

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Stride of the first filled block of each stage."""
        return (2, 2, 2, 1, 2, 1) if self.resolution >= ALL_STRIDES_FROM else (1, 2, 2, 1, 2, 1)

    def channels(self, stage: int) -> int:
        """Return the width of a stage."""
        return scaled(STAGE_CHANNELS[stage], self.width)

    # Parts and graphs -----------------------------------------------------------------------

    def parts(self, arch: Arch) -> tuple[Key, ...]:
        """Return the lookup keys of the network, stem first, head last."""
        return _parts(self, arch)

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
        if key == self.stem_key():
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
            for order, block in enumerate(t for t in stage_of(arch, stage) if t):
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

    def stem_key(self) -> Key:
        """Return the key of the stem, the first part of every network."""
        return Key("stem", 3, scaled(FIXED_CHANNELS, self.width), self.stem_stride, self.resolution)


@lru_cache(maxsize=1 << 12)
def _parts(space: RcnetSpace, arch: Arch) -> tuple[Key, ...]:
    """Find the keys, and remember the last ones: every cost of a network asks for the same."""
    channels = scaled(FIXED_CHANNELS, space.width)
    resolution = -(-space.resolution // space.stem_stride)
    parts = [space.stem_key()]
    for stage in range(STAGES):
        types = tuple(t for t in stage_of(arch, stage) if t)
        if types:
            parts += _stage_keys(space, stage, types, channels, resolution)
            channels = space.channels(stage)
            resolution = -(-resolution // space.stage_strides[stage])
    return (*parts, Key("head", channels, space.classes, 1, resolution))


@lru_cache(maxsize=1 << 16)
def _stage_keys(
    space: RcnetSpace, stage: int, types: Arch, in_channels: int, resolution: int
) -> list[Key]:
    channels, stride = space.channels(stage), space.stage_strides[stage]
    first = Key(f"t{types[0]}", in_channels, channels, stride, resolution)
    after = -(-resolution // stride)
    return [first] + [Key(f"t{block}", channels, channels, 1, after) for block in types[1:]]


class _Numbers(NamedTuple):
    """Numbers of keys: by (stage, stage before + 1, type), (stage, type), and last stage."""

    first: NDArray[np.int64]
    further: NDArray[np.int64]
    head: NDArray[np.int64]


def part_indices(space: RcnetSpace, archs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the parts of many networks as places in `space.lookup_keys()`.

    Args:
        space: the space.
        archs: type numbers, (networks, positions); each fills every required stage.

    Returns:
        (networks, positions + 2): stem, one per position, head; an empty position holds the number
        of keys, one behind the last place.
    """
    numbers = _key_numbers(space)
    rows = np.arange(len(archs))
    parts = [np.zeros((len(archs), 1), np.int64)]  # the stem is the first key
    before = np.zeros(len(archs), np.int64)  # last filled stage so far, plus one
    for stage in range(STAGES):
        types = archs[:, stage * STAGE_POSITIONS : (stage + 1) * STAGE_POSITIONS]
        keys = numbers.further[stage][types]
        filled = types > 0
        any_filled, at = filled.any(axis=1), filled.argmax(axis=1)
        first = numbers.first[stage, before, types[rows, at]]
        keys[rows, at] = np.where(any_filled, first, keys[rows, at])
        parts.append(keys)
        before = np.where(any_filled, stage + 1, before)
    return np.hstack([*parts, numbers.head[before][:, None]])


@lru_cache(maxsize=64)
def _key_numbers(space: RcnetSpace) -> _Numbers:
    keys = space.lookup_keys()
    number = {key: place for place, key in enumerate(keys)}
    absent, types = len(keys), max(BLOCK_TYPES) + 1
    first = np.full((STAGES, STAGES + 1, types), absent)
    further = np.full((STAGES, types), absent)
    head = np.full(STAGES + 1, absent)
    for skeleton in space.skeletons():
        for arch in skeleton:
            filled = [s for s in range(STAGES) if arch[s * STAGE_POSITIONS]]
            _, *blocks, last = space.parts(arch)
            head[filled[-1] + 1] = number[last]
            for before, stage, key in zip([-1, *filled], filled, blocks, strict=False):
                first[stage, before + 1, arch[stage * STAGE_POSITIONS]] = number[key]
                further[stage, arch[stage * STAGE_POSITIONS]] = number[_repeated(key)]
    return _Numbers(first, further, head)


def _repeated(key: Key) -> Key:
    """Return the key of the same block once more, behind the first one of its stage."""
    resolution = -(-key.resolution // key.stride)
    return type(key)(key.block, key.out_channels, key.out_channels, 1, resolution)
