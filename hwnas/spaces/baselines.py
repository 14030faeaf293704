"""Published networks as graphs, to be timed beside a result at its resolution, classes and width.

MobileNetV2 (Sandler et al., CVPR 2018), MobileNetV3-Small (Howard et al., ICCV 2019) and
ShuffleNetV2 (Ma et al., ECCV 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.graph import INPUT, Graph, GraphBuilder
from hwnas.spaces.blocks import ALL_STRIDES_FROM, BlockType, head, inverted_residual, scaled

if TYPE_CHECKING:
    from collections.abc import Callable

V2_STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
"""(expansion, channels, blocks) of each stage."""


def mobilenet_v2(
    resolution: int,
    classes: int,
    width: float = 1.0,
    *,
    projections: bool = False,
) -> Graph:
    """Return MobileNetV2.

    Args:
        resolution: input height and width; below 64 pixels the first two strides are 1 and the
            stage strides 1, 1, 2, 2, 1, 2, 1, as Xiong et al. (ICCV 2019) run it on CIFAR.
        classes: outputs of the classifier.
        width: channel multiplier, rounded as in `scaled`.
        projections: put 1x1 projections on shortcuts of unequal channels and keep the 1x1 of the
            first block, as in those authors' code; without, the network is torchvision's.
    """
    large = resolution >= ALL_STRIDES_FROM
    strides = (1, 2, 2, 2, 1, 2, 1) if large else (1, 1, 2, 2, 1, 2, 1)
    builder = GraphBuilder((3, resolution, resolution))
    stem = scaled(32, width)
    value = builder.conv("stem.conv", INPUT, stem, kernel=3, stride=2 if large else 1)
    for stage, ((expansion, channels, blocks), stride) in enumerate(
        zip(V2_STAGES, strides, strict=True)
    ):
        for order in range(blocks):
            name = f"stage{stage}.{order}"
            out = scaled(channels, width)
            if expansion == 1 and not projections:
                value = builder.depthwise(f"{name}.depthwise", value, 1)
                value = builder.conv(f"{name}.project", value, out, activation=None)
                continue
            value = inverted_residual(
                builder,
                name,
                value,
                BlockType(expansion),
                out,
                stride if order == 0 else 1,
                project_shortcut=projections,
            )
    head(builder, value, scaled(1280, width), classes)
    return builder.build()


@dataclass(frozen=True, slots=True)
class V3Block:
    """Inverted residual: size of the depthwise kernel, channels, squeeze-and-excite or not.

    Its activation is a hard swish, or else a ReLU.
    """

    kernel: int
    hidden: int
    out: int
    squeeze: bool
    swish: bool
    stride: int = 1


V3_STEM, V3_FEATURES = 16, 1024
V3_BLOCKS = (
    V3Block(3, 16, 16, squeeze=True, swish=False, stride=2),
    V3Block(3, 72, 24, squeeze=False, swish=False, stride=2),
    V3Block(3, 88, 24, squeeze=False, swish=False),
    V3Block(5, 96, 40, squeeze=True, swish=True, stride=2),
    V3Block(5, 240, 40, squeeze=True, swish=True),
    V3Block(5, 240, 40, squeeze=True, swish=True),
    V3Block(5, 120, 48, squeeze=True, swish=True),
    V3Block(5, 144, 48, squeeze=True, swish=True),
    V3Block(5, 288, 96, squeeze=True, swish=True, stride=2),
    V3Block(5, 576, 96, squeeze=True, swish=True),
    V3Block(5, 576, 96, squeeze=True, swish=True),
)
"""Table 2 of the paper."""


def mobilenet_v3_small(resolution: int, classes: int, width: float = 1.0) -> Graph:
    """Return MobileNetV3-Small.

    Args:
        resolution: input height and width; from 64 pixels on, the network is torchvision's
            `mobilenet_v3_small` of this width. Below, the first two strides, those of the stem and
            of the first block, are 1, as in `mobilenet_v2`; the first block then has a shortcut.
        classes: outputs of the classifier.
        width: channel multiplier, rounded as in `multiple_of_8`.
    """
    large = resolution >= ALL_STRIDES_FROM
    builder = GraphBuilder((3, resolution, resolution))
    stem, stride = multiple_of_8(V3_STEM * width), 2 if large else 1
    value = _activated_conv(builder, "stem", INPUT, stem, swish=True, kernel=3, stride=stride)
    for order, block in enumerate(V3_BLOCKS):
        stride = block.stride if large or order > 0 else 1
        value = _v3_block(builder, f"block{order}", value, block, width, stride)
    last = builder.shape(value)[0]
    value = _activated_conv(builder, "head", value, 6 * last, swish=True)
    value = builder.global_avg_pool("head.pool", value)
    value = builder.linear("head.features", value, multiple_of_8(V3_FEATURES * width))
    value = builder.hard_swish("head.features.swish", value)
    builder.linear("head.classifier", value, classes)
    return builder.build()


def multiple_of_8(channels: float) -> int:
    """Return the nearest multiple of 8 that is at least 8 and at least 90% of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _v3_block(
    builder: GraphBuilder, name: str, source: str, block: V3Block, width: float, stride: int
) -> str:
    channels = builder.shape(source)[0]
    hidden, out = multiple_of_8(block.hidden * width), multiple_of_8(block.out * width)
    value, swish = source, block.swish
    if hidden != channels:
        value = _activated_conv(builder, f"{name}.expand", source, hidden, swish=swish)
    options = {"kernel": block.kernel, "stride": stride, "groups": hidden}
    value = _activated_conv(builder, f"{name}.depthwise", value, hidden, swish=swish, **options)
    if block.squeeze:
        value = _squeeze_and_excite(builder, f"{name}.squeeze", value)
    value = builder.conv(f"{name}.project", value, out, activation=None)
    if stride == 1 and channels == out:
        value = builder.add(f"{name}.add", source, value)
    return value


def _activated_conv(
    builder: GraphBuilder, name: str, source: str, channels: int, *, swish: bool, **options: int
) -> str:
    """Add a convolution and its activation."""
    if not swish:
        return builder.conv(f"{name}.conv", source, channels, activation="relu", **options)
    value = builder.conv(f"{name}.conv", source, channels, activation=None, **options)
    return builder.hard_swish(f"{name}.swish", value)


def _squeeze_and_excite(builder: GraphBuilder, name: str, source: str) -> str:
    """Add a factor for every channel, which depends on the means of all (section 5.3)."""
    channels = builder.shape(source)[0]
    value = builder.global_avg_pool(f"{name}.pool", source)
    value = builder.linear(f"{name}.reduce", value, multiple_of_8(channels // 4), "relu")
    value = builder.linear(f"{name}.expand", value, channels)
    return builder.multiply(f"{name}.scale", source, builder.hard_sigmoid(f"{name}.gate", value))


SHUFFLE_STEM, SHUFFLE_FIRST, SHUFFLE_HEAD = 24, 116, 1024
"""Channels of the stem, the first stage and the last convolution."""
SHUFFLE_UNITS = (4, 8, 4)
"""Of each stage; the first one halves the size."""


def shufflenet_v2(resolution: int, classes: int, width: float = 1.0) -> Graph:
    """Return ShuffleNetV2.

    Args:
        resolution: input height and width; from 64 pixels on, the network of width 1 is
            torchvision's `shufflenet_v2_x1_0`. Below, the first two strides are left out, as in
            `mobilenet_v2`: the stem has stride 1 and no max pool after it.
        classes: outputs of the classifier.
        width: multiplies the channels of stem, first stage and head, rounded as in `scaled`; each
            stage has twice the channels of the one before. (The sets of channels for x0.5, x1.5
            and x2.0 in the paper follow no rule, and keep stem and head.)
    """
    large = resolution >= ALL_STRIDES_FROM
    builder = GraphBuilder((3, resolution, resolution))
    stem, stride = scaled(SHUFFLE_STEM, width), 2 if large else 1
    value = builder.conv("stem.conv", INPUT, stem, kernel=3, stride=stride, activation="relu")
    if large:
        value = builder.max_pool("stem.pool", value, kernel=3, stride=2)
    for stage, units in enumerate(SHUFFLE_UNITS):
        channels = scaled(SHUFFLE_FIRST, width) * 2**stage
        value = _halving_unit(builder, f"stage{stage}.0", value, channels)
        for order in range(1, units):
            value = _unit(builder, f"stage{stage}.{order}", value)
    value = builder.conv("head.conv", value, scaled(SHUFFLE_HEAD, width), activation="relu")
    value = builder.global_avg_pool("head.pool", value)
    builder.linear("head.classifier", value, classes)
    return builder.build()


def _halving_unit(builder: GraphBuilder, name: str, source: str, channels: int) -> str:
    """Add two branches over all channels, each with stride 2, joined and shuffled."""
    half = channels // 2
    left = builder.depthwise(f"{name}.left.depthwise", source, 2, activation=None)
    left = builder.conv(f"{name}.left.project", left, half, activation="relu")
    right = _branch(builder, f"{name}.right", source, half, stride=2)
    return _joined(builder, name, left, right)


def _unit(builder: GraphBuilder, name: str, source: str) -> str:
    """Add a branch over the upper half of the channels, joined and shuffled with the lower half."""
    channels = builder.shape(source)[0]
    half = channels // 2
    left = builder.slice(f"{name}.left", source, 0, half)
    right = builder.slice(f"{name}.right", source, half, channels)
    return _joined(builder, name, left, _branch(builder, f"{name}.right", right, half, stride=1))


def _branch(builder: GraphBuilder, name: str, source: str, channels: int, stride: int) -> str:
    value = builder.conv(f"{name}.expand", source, channels, activation="relu")
    value = builder.depthwise(f"{name}.depthwise", value, stride, activation=None)
    return builder.conv(f"{name}.project", value, channels, activation="relu")


def _joined(builder: GraphBuilder, name: str, left: str, right: str) -> str:
    return builder.shuffle(f"{name}.shuffle", builder.concat(f"{name}.concat", left, right), 2)


BASELINES: dict[str, Callable[[int, int, float], Graph]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3_small,
    "shufflenet_v2": shufflenet_v2,
}
"""Name to a function of resolution, classes and channel multiplier."""
