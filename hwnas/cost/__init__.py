"""What a network costs, and what it may cost."""

from hwnas.cost.budget import Budget
from hwnas.cost.cost import Cost
from hwnas.cost.costs import PartsCost, energy, latency, madds, memory, params, size
from hwnas.cost.file_size import file_bytes, file_size_known
from hwnas.cost.problem import Problem

__all__ = [
    "Budget",
    "Cost",
    "PartsCost",
    "Problem",
    "energy",
    "file_bytes",
    "file_size_known",
    "latency",
    "madds",
    "memory",
    "params",
    "size",
]
