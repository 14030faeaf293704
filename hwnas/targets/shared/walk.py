"""One walk over a graph for all that computes it, or writes it into a file, node by node."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from hwnas.graph import INPUT, ops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.graph import Graph, Node

Value = TypeVar("Value")
"""What stands for a value of the graph: a tensor, a name in a file, ..."""


class Walk(ABC, Generic[Value]):
    """One method per primitive operation: from its node and what it reads to its result."""

    def values(self, graph: Graph, source: Value) -> Iterator[tuple[str, Value]]:
        """Yield every value of a graph with its name, the input first.

        Each is dropped after its last reader, so that large networks stay within memory.
        """
        last = {name: node.name for node in graph for name in node.inputs}
        known = {INPUT: self.finished(INPUT, source)}
        yield INPUT, known[INPUT]
        for node in graph:
            result = self._result(node, [known[name] for name in node.inputs])
            known[node.name] = self.finished(node.name, result)
            yield node.name, known[node.name]
            for name in set(node.inputs):
                if last[name] == node.name:
                    del known[name]

    def output(self, graph: Graph, source: Value) -> Value:
        """Return the last value of a graph."""
        for _, value in self.values(graph, source):
            result = value
        return result

    def finished(self, name: str, value: Value) -> Value:  # noqa: ARG002
        """Return what becomes of a value, the input's too, before anybody reads it."""
        return value

    def _result(self, node: Node, sources: list[Value]) -> Value:  # noqa: C901 - one case each
        match node.op:
            case ops.Conv() as op:
                return self.conv(node, op, *sources)
            case ops.Shuffle(groups):
                return self.shuffle(node, groups, *sources)
            case ops.Add():
                return self.add(node, *sources)
            case ops.Multiply():
                return self.multiply(node, *sources)
            case ops.HardSwish():
                return self.hard_swish(node, *sources)
            case ops.HardSigmoid():
                return self.hard_sigmoid(node, *sources)
            case ops.Slice() as op:
                return self.slice(node, op, *sources)
            case ops.Concat():
                return self.concat(node, *sources)
            case ops.MaxPool() as op:
                return self.max_pool(node, op, *sources)
            case ops.GlobalAvgPool():
                return self.global_avg_pool(node, *sources)
            case ops.Linear() as op:
                return self.linear(node, op, *sources)

    @abstractmethod
    def conv(self, node: Node, op: ops.Conv, source: Value) -> Value:
        """Convolve, add the bias, and activate."""

    @abstractmethod
    def shuffle(self, node: Node, groups: int, source: Value) -> Value:
        """Shuffle channels."""

    @abstractmethod
    def add(self, node: Node, left: Value, right: Value) -> Value:
        """Add two values of one shape."""

    @abstractmethod
    def multiply(self, node: Node, source: Value, factors: Value) -> Value:
        """Multiply each channel by its factor."""

    @abstractmethod
    def hard_swish(self, node: Node, source: Value) -> Value:
        """Multiply by the hard sigmoid."""

    @abstractmethod
    def hard_sigmoid(self, node: Node, source: Value) -> Value:
        """Return min(max(x + 3, 0), 6) / 6."""

    @abstractmethod
    def slice(self, node: Node, op: ops.Slice, source: Value) -> Value:
        """Take some channels."""

    @abstractmethod
    def concat(self, node: Node, *sources: Value) -> Value:
        """Join channels."""

    @abstractmethod
    def max_pool(self, node: Node, op: ops.MaxPool, source: Value) -> Value:
        """Return the maximum of every window."""

    @abstractmethod
    def global_avg_pool(self, node: Node, source: Value) -> Value:
        """Return the mean of every channel."""

    @abstractmethod
    def linear(self, node: Node, op: ops.Linear, source: Value) -> Value:
        """Multiply by a matrix, add the bias, and activate."""
