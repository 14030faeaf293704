"""ShuffleNetV2 (Ma et al., ECCV 2018) as a graph: a baseline beside every result."""

from __future__ import annotations

from hwnas.graph import INPUT, Graph, GraphBuilder
from hwnas.spaces.blocks import ALL_STRIDES_FROM, scaled

STEM, FIRST, HEAD = 24, 116, 1024
"""Channels of the stem, the first stage and the last convolution."""
UNITS = (4, 8, 4)
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
    stem, stride = scaled(STEM, width), 2 if large else 1
    value = builder.conv("stem.conv", INPUT, stem, kernel=3, stride=stride, activation="relu")
    if large:
        value = builder.max_pool("stem.pool", value, kernel=3, stride=2)
    for stage, units in enumerate(UNITS):
        channels = scaled(FIRST, width) * 2**stage
        value = _halving_unit(builder, f"stage{stage}.0", value, channels)
        for order in range(1, units):
            value = _unit(builder, f"stage{stage}.{order}", value)
    value = builder.conv("head.conv", value, scaled(HEAD, width), activation="relu")
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
