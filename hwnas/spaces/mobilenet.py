"""MobileNetV2 (Sandler et al., CVPR 2018) as a graph: a baseline beside every result."""

from __future__ import annotations

from hwnas.graph import INPUT, Graph, GraphBuilder
from hwnas.spaces.blocks import ALL_STRIDES_FROM, BlockType, head, inverted_residual, scaled

STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
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
        zip(STAGES, strides, strict=True)
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
