"""Layers of a Core ML neural network that keep it off the Neural Engine.

Apple publishes no list. The table follows M. Hollemans, "The Neural Engine - what do we know about
it?", chapter "Which Core ML layers are not supported by the ANE?", found by experiment and, as it
says of itself, incomplete and in part guessed. That custom layers have code for the CPU and the GPU
only is how Apple's protocol MLCustomLayer is made. Core ML runs such a layer, and may run all that
follow, on GPU or CPU. Devices before the A12 have no Neural Engine for Core ML and lose nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.targets.apple import require
from hwnas.targets.apple.versions import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_CHIP = "A12"
"""The first whose Neural Engine Core ML uses."""

REASONS = {
    "custom": "has code for CPU and GPU only",
    "simpleRecurrent": "a recurrent layer",
    "gru": "a recurrent layer",
    "uniDirectionalLSTM": "a recurrent layer",
    "biDirectionalLSTM": "a recurrent layer",
    "gather": "a gather",
    "gatherND": "a gather",
    "gatherAlongAxis": "a gather",
}
"""Layer type, as its field in NeuralNetwork.proto, to what keeps it off."""

ANY_RANK = re.compile(r".+(Broadcastable|ND)$")
"""Layers of Core ML 3 for tensors of any rank."""


def slow_paths(model: bytes) -> list[str]:
    """Return one line per reason why a device with a Neural Engine would run a model elsewhere.

    Args:
        model: a serialised Core ML neural network (the content of a .mlmodel file).

    Raises:
        UserError: the model is no neural network.
        MissingPackage: coremltools is not installed.
    """
    parsed = require("proto.Model_pb2").Model.FromString(model)
    kind = parsed.WhichOneof("Type")
    if kind not in NETWORKS:
        raise UserError(f"expected a Core ML neural network, but got {kind or 'an empty model'}")
    found = Counter(what for layer in getattr(parsed, kind).layers for what in _reasons(layer))
    place = f"known not to run on the Neural Engine ({FIRST_CHIP} and later)"
    return [f"{count} x {what}: {place}" for what, count in found.items()]


def _reasons(layer: Any) -> Iterator[str]:
    kind = layer.WhichOneof("layer") or "of an unknown type"
    if kind in REASONS:
        yield f"{kind} ({REASONS[kind]})"
    elif ANY_RANK.match(kind):
        yield f"{kind} (for tensors of any rank)"
    elif kind == "convolution" and any(factor > 1 for factor in layer.convolution.dilationFactor):
        yield "convolution (dilated)"
