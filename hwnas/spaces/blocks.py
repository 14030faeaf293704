"""The building blocks: stem, inverted residuals and head, each a function that adds nodes.

Block types after Xiong, Mehta, Singh (ICCV 2019), Fig. 2 and supplement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class BlockType:
    """Inverted residual: expansion factor, groups of the expanding and the projecting 1x1 conv."""

    expansion: int
    expansion_groups: int = 1
    projection_groups: int = 1


ALL_STRIDES_FROM = 64
"""Pixels; smaller images are not halved by the first two strides of a network."""

BLOCK_TYPES = {
    1: BlockType(3, 1, 1),
    2: BlockType(3, 1, 2),
    3: BlockType(6, 2, 2),
    4: BlockType(6, 1, 2),
    5: BlockType(6, 1, 1),
    6: BlockType(12, 2, 4),
}
"""Types 1 to 6 of the paper."""


def inverted_residual(
    builder: GraphBuilder,
    name: str,
    source: str,
    block: BlockType,
    out_channels: int,
    stride: int,
    *,
    project_shortcut: bool = True,
) -> str:
    """Add one block; returns the name of its result.

    The shortcut is the identity for stride 1 and equal channels, a 1x1 convolution with batch
    norm for stride 1 and unequal channels (if `project_shortcut`), and absent for stride 2.
    """
    in_channels = builder.shape(source)[0]
    hidden = builder.conv(
        f"{name}.expand", source, in_channels * block.expansion, groups=block.expansion_groups
    )
    hidden = builder.depthwise(f"{name}.depthwise", hidden, stride)
    if block.projection_groups > 1:
        hidden = builder.shuffle(f"{name}.shuffle", hidden, block.projection_groups)
    result = builder.conv(
        f"{name}.project", hidden, out_channels, groups=block.projection_groups, activation=None
    )
    if stride != 1 or (in_channels != out_channels and not project_shortcut):
        return result
    shortcut = source
    if in_channels != out_channels:
        shortcut = builder.conv(f"{name}.shortcut", source, out_channels, activation=None)
    return builder.add(f"{name}.add", shortcut, result)


def head(builder: GraphBuilder, source: str, features: int, classes: int) -> str:
    """Add the 1x1 convolution to `features`, global average pool and classifier."""
    hidden = builder.conv("head.conv", source, features)
    hidden = builder.global_avg_pool("head.pool", hidden)
    return builder.linear("head.classifier", hidden, classes)


def scaled(channels: int, width: float) -> int:
    """Return `channels` times `width`, rounded to a multiple of 8 (at least 8) unless width is 1.

    Multiples of 8 keep every group count of the block types a divisor.
    """
    return channels if width == 1.0 else max(8, int(channels * width + 4) // 8 * 8)
