"""Graph to ONNX, batch norm folded, one ONNX node per operation (most: shuffle takes three)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.graph import INPUT, file_metadata
from hwnas.targets.onnx.float32 import Float
from hwnas.targets.onnx.int8 import Int8
from hwnas.targets.onnx.model import Model

if TYPE_CHECKING:
    from hwnas.targets.shared.format import Content


def emit(content: Content) -> bytes:
    """Return the serialised model: float32 (1, C, H, W) "input" to float32 "logits".

    In fp16 weights are stored in half, and arithmetic stays in float32; of int8, see `int8`.

    Args:
        content: a network or a part of one; normalisation and labels go into the metadata.

    Raises:
        MissingPackage: onnx is not installed.
        CheckFailed: a weight is beyond the range of float16.
    """
    model = Model(half_weights=content.precision == "fp16")
    nodes = (Int8 if content.precision == "int8" else Float)(model, content)
    nodes.output(content.graph, INPUT)
    return model.finish(content.graph, file_metadata(content.images, content.metadata))
