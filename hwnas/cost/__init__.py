"""What a network costs, and what it may cost."""

from hwnas.cost.costs import (
    ColumnCost,
    Cost,
    PartsCost,
    column_cost,
    energy,
    latency,
    madds,
    memory,
    params,
    size,
)
from hwnas.cost.file_size import file_bytes, file_size_known
from hwnas.cost.problem import Budget, Problem

__all__ = [
    "Budget",
    "ColumnCost",
    "Cost",
    "PartsCost",
    "Problem",
    "column_cost",
    "energy",
    "file_bytes",
    "file_size_known",
    "latency",
    "madds",
    "memory",
    "params",
    "size",
]
