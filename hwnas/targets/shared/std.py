"""Normalisation as far as a platform's preprocessing does not hold it.

Core ML and MediaPipe have one scale for all channels, so 1 / std of each channel moves into the
convolutions that read the image. This is exact at the borders as well: a padded zero stays zero
under any scale. The mean cannot move so: a padded zero is a pixel of the mean's colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.graph import INPUT, Conv

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights
    from hwnas.graph.inputs import Triple
    from hwnas.targets.shared.format import Content


def can_fold(graph: Graph) -> bool:
    """Return whether convolutions alone read the image."""
    return all(isinstance(node.op, Conv) for node in graph if INPUT in node.inputs)


def folded(graph: Graph, weights: Weights, std: Triple) -> Weights:
    """Return the weights for images that were not divided by `std`."""
    result = dict(weights)
    for node in graph:
        if isinstance(node.op, Conv) and INPUT in node.inputs:
            weight, bias = weights[node.name]
            result[node.name] = ((weight / _of_weights(node.op, std)).astype(np.float32), bias)
    return result


def taken_in(graph: Graph, weights: Weights, std: Triple) -> tuple[Weights, Triple | None]:
    """Return weights that divide by `std` if they can, and what is left to divide the image by."""
    return (folded(graph, weights, std), None) if can_fold(graph) else (weights, std)


def stored(content: Content, store: Callable[[Weights], Weights]) -> Weights:
    """Return what `store` makes of folded weights, as weights for images divided by `std`."""
    graph, weights, images = content.graph, content.weights, content.images
    if images is None or not can_fold(graph):
        return store(weights)
    red, green, blue = images.std
    return folded(graph, store(folded(graph, weights, images.std)), (1 / red, 1 / green, 1 / blue))


def _of_weights(op: Conv, std: Triple) -> NDArray[np.float64]:
    """Return the std of the channel that each weight reads, as (out, in / groups, 1, 1)."""
    of_group = np.asarray(std).reshape(op.groups, -1)
    return np.repeat(of_group, op.out_channels // op.groups, axis=0)[:, :, None, None]
