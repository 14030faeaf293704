"""A cost: a number with a unit for a whole network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas import units
    from hwnas.spaces import Arch


@dataclass(frozen=True, kw_only=True)
class Cost(ABC):
    """One resource. Numbers are in the base unit of its dimension.

    Attributes:
        name: "params", "latency", ...; with several devices "latency@iphone5s".
        dimension: its unit.
        margin: share added to a prediction for the bound that is compared with a budget.
        label: how the numbers are to be read: "exact", "measured", "ESTIMATED", "at most, ...".
        additive: whether blocks add up, so that a gain per marginal cost makes sense.
    """

    name: str
    dimension: units.Dimension
    margin: float = 0.0
    label: str = "exact"
    additive: bool = True

    @abstractmethod
    def of(self, arch: Arch) -> float:
        """Return the point estimate for a whole network."""

    @abstractmethod
    def many(self, archs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the point estimates of many networks, (networks, positions) in.

        Equal to `of` within rounding; what decides about a budget is `upper`.
        """

    @abstractmethod
    def cheapest(self) -> float:
        """Return the smallest point estimate over all networks of the space."""

    def upper(self, arch: Arch) -> float:
        """Return the bound that a budget is compared with."""
        return self.of(arch) * (1 + self.margin)

    def format(self, value: float) -> str:
        """Return a value with its unit."""
        return self.dimension.format(value)
