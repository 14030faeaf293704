"""Bytes per number in each precision that a network is deployed in."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.errors import one_of


@dataclass(frozen=True, slots=True)
class Precision:
    """How many bytes the numbers of a deployed network take.

    Attributes:
        name: as in `precision` of a target profile.
        weight_bytes: per weight.
        bias_bytes: per bias.
        value_bytes: per activation.
    """

    name: str
    weight_bytes: int
    bias_bytes: int
    value_bytes: int


FP32 = Precision("fp32", 4, 4, 4)
PRECISIONS = {
    precision.name: precision
    for precision in (FP32, Precision("fp16", 2, 2, 2), Precision("int8", 1, 4, 1))
}
"""int8: static quantisation keeps the biases in 32 bits, since they are added to 32-bit sums."""


def find_precision(name: str) -> Precision:
    """Return a precision by name.

    Raises:
        UserError: unknown name.
    """
    if name not in PRECISIONS:
        raise one_of("precision", name, list(PRECISIONS))
    return PRECISIONS[name]
