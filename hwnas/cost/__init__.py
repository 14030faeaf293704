"""What a network costs, and what it may cost."""

from hwnas.cost.budget import Budget
from hwnas.cost.costs import Cost, energy, latency, madds, memory, params, size
from hwnas.cost.file_size import STRUCTURES, file_bytes
from hwnas.cost.problem import Problem

__all__ = [
    "STRUCTURES",
    "Budget",
    "Cost",
    "Problem",
    "energy",
    "file_bytes",
    "latency",
    "madds",
    "memory",
    "params",
    "size",
]
