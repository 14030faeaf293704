"""Search by a model of all scores so far."""

from hwnas.search.surrogate.strategy import surrogate

__all__ = ["surrogate"]
