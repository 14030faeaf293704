"""What a network costs, and what it may cost."""

from hwnas.cost.budget import Budget
from hwnas.cost.costs import Cost, energy, latency, madds, memory, params, size
from hwnas.cost.file_size import file_bytes, file_size_known
from hwnas.cost.problem import Problem

__all__ = [
    "Budget",
    "Cost",
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
