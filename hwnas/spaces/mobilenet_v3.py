"""MobileNetV3-Small (Howard et al., ICCV 2019) as a graph: a baseline beside every result."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.graph import INPUT, Graph, GraphBuilder
from hwnas.spaces.blocks import ALL_STRIDES_FROM


@dataclass(frozen=True, slots=True)
class Block:
    """Inverted residual: size of the depthwise kernel, channels, squeeze-and-excite or not.

    Its activation is a hard swish, or else a ReLU.
    """

    kernel: int
    hidden: int
    out: int
    squeeze: bool
    swish: bool
    stride: int = 1


STEM, FEATURES = 16, 1024
BLOCKS = (
    Block(3, 16, 16, squeeze=True, swish=False, stride=2),
    Block(3, 72, 24, squeeze=False, swish=False, stride=2),
    Block(3, 88, 24, squeeze=False, swish=False),
    Block(5, 96, 40, squeeze=True, swish=True, stride=2),
    Block(5, 240, 40, squeeze=True, swish=True),
    Block(5, 240, 40, squeeze=True, swish=True),
    Block(5, 120, 48, squeeze=True, swish=True),
    Block(5, 144, 48, squeeze=True, swish=True),
    Block(5, 288, 96, squeeze=True, swish=True, stride=2),
    Block(5, 576, 96, squeeze=True, swish=True),
    Block(5, 576, 96, squeeze=True, swish=True),
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
    stem, stride = multiple_of_8(STEM * width), 2 if large else 1
    value = _conv(builder, "stem", INPUT, stem, swish=True, kernel=3, stride=stride)
    for order, block in enumerate(BLOCKS):
        stride = block.stride if large or order > 0 else 1
        value = _inverted_residual(builder, f"block{order}", value, block, width, stride)
    last = builder.shape(value)[0]
    value = _conv(builder, "head", value, 6 * last, swish=True)
    value = builder.global_avg_pool("head.pool", value)
    value = builder.linear("head.features", value, multiple_of_8(FEATURES * width))
    value = builder.hard_swish("head.features.swish", value)
    builder.linear("head.classifier", value, classes)
    return builder.build()


def multiple_of_8(channels: float) -> int:
    """Return the nearest multiple of 8 that is at least 8 and at least 90% of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _inverted_residual(
    builder: GraphBuilder, name: str, source: str, block: Block, width: float, stride: int
) -> str:
    channels = builder.shape(source)[0]
    hidden, out = multiple_of_8(block.hidden * width), multiple_of_8(block.out * width)
    value, swish = source, block.swish
    if hidden != channels:
        value = _conv(builder, f"{name}.expand", source, hidden, swish=swish)
    options = {"kernel": block.kernel, "stride": stride, "groups": hidden}
    value = _conv(builder, f"{name}.depthwise", value, hidden, swish=swish, **options)
    if block.squeeze:
        value = _squeeze_and_excite(builder, f"{name}.squeeze", value)
    value = builder.conv(f"{name}.project", value, out, activation=None)
    if stride == 1 and channels == out:
        value = builder.add(f"{name}.add", source, value)
    return value


def _conv(
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
