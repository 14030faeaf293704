"""For authors of plug-ins: small problems with known properties, and checks of what is promised."""

from hwnas.testing.conformance import check_strategy
from hwnas.testing.sets import (
    ElementCost,
    SetSpace,
    coverage,
    facility_location,
    random_problem,
)

__all__ = [
    "ElementCost",
    "SetSpace",
    "check_strategy",
    "coverage",
    "facility_location",
    "random_problem",
]
