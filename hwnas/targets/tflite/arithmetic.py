"""How numbers are stored in a TFLite file: what differs between float32 and int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.graph import Node, Weights
    from hwnas.targets.tflite.model import Model, Scales, Tensor

Order = tuple[int, ...]
"""Of the axes of a weight in the file; the first one counts the output channels in the graph."""

DENSE: Order = (0, 2, 3, 1)
DEPTHWISE: Order = (1, 2, 3, 0)
LINEAR: Order = (0, 1)


class Arithmetic(Protocol):
    """How values and weights are stored."""

    @property
    def knows_hard_swish(self) -> bool:
        """Whether XNNPACK has a kernel for the operator."""

    @property
    def versions(self) -> Mapping[str, int]:
        """Versions of operators, where they are not 1."""

    def scales(self, name: str) -> Scales | None:
        """Return how a value of the graph is stored, or None for float32."""

    def weight_and_bias(self, model: Model, node: Node, order: Order) -> tuple[Tensor, Tensor]:
        """Add the constants of a convolution or linear node."""

    def up_to(self, high: float) -> Scales | None:
        """Return how values from 0 to `high` are stored, or None for float32."""

    def number(self, model: Model, name: str, value: float) -> Tensor:
        """Add one positive number."""

    def lowest(self, model: Model, name: str, stored_as: str) -> Tensor:
        """Add the least number that a value of the graph can be."""

    def pixels(self, model: Model, name: str, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Add the file's input, pixels of 0 to 1, and return it and what the network reads."""

    def colour(self, model: Model, name: str, values: Sequence[float]) -> Tensor:
        """Add one number per channel."""

    def scores(self, model: Model, name: str, source: Tensor, shape: Sequence[int]) -> Tensor:
        """Return a result in float32."""


class Float:
    """Everything in float32."""

    knows_hard_swish = True
    versions: Mapping[str, int] = {}

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def scales(self, name: str) -> Scales | None:  # noqa: ARG002
        """Return None."""
        return None

    def weight_and_bias(self, model: Model, node: Node, order: Order) -> tuple[Tensor, Tensor]:
        """Add them as they are."""
        weight, bias = self._weights[node.name]
        kernel = model.constant(f"{node.name}.weight", weight.transpose(order))
        return kernel, model.constant(f"{node.name}.bias", bias)

    def up_to(self, high: float) -> Scales | None:  # noqa: ARG002
        """Return None."""
        return None

    def number(self, model: Model, name: str, value: float) -> Tensor:
        """Add one number."""
        return model.constant(name, np.array([value], np.float32))

    def lowest(self, model: Model, name: str, stored_as: str) -> Tensor:  # noqa: ARG002
        """Add the lowest float32."""
        return model.constant(name, np.array([np.finfo(np.float32).min], np.float32))

    def pixels(self, model: Model, name: str, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Add the input, which is read as it is."""
        source = model.value(name, shape)
        return source, source

    def colour(self, model: Model, name: str, values: Sequence[float]) -> Tensor:
        """Add one number per channel."""
        return model.constant(name, np.array(values, np.float32))

    def scores(
        self,
        model: Model,  # noqa: ARG002
        name: str,  # noqa: ARG002
        source: Tensor,
        shape: Sequence[int],  # noqa: ARG002
    ) -> Tensor:
        """Return it as it is."""
        return source
