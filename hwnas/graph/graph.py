"""A network as a short list of primitive operations with shapes.

Everything else walks this one list: the counts below, the torch module, and the emitters of every
deployment format. A new block is a function that adds nodes; a new target is one more walk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas.graph import ops
from hwnas.graph.precision import FP32, Precision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.graph.ops import Activation, Op, Shape

INPUT = "input"
"""Name of the value that a graph takes."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: `name` is also the name of its result."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    shape: Shape
    """Shape of the result."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in execution order; the last one is the output.

    Every input of a node is either "input" or the name of an earlier node, and names are unique.
    """

    input_shape: Shape
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        seen = {INPUT}
        for node in self.nodes:
            missing = [name for name in node.inputs if name not in seen]
            if missing or node.name in seen:
                problem = f"reads {missing} before it exists" if missing else "is defined twice"
                raise ValueError(f"node {node.name!r} {problem}")
            seen.add(node.name)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def output(self) -> Node:
        """The node whose result is the network's."""
        return self.nodes[-1]

    def shape_of(self, name: str) -> Shape:
        """Return the shape of a value by name."""
        if name == INPUT:
            return self.input_shape
        return next(node.shape for node in self.nodes if node.name == name)

    def never_negative(self, name: str) -> bool:
        """Return whether the operations before a value keep it from being below zero."""
        node = next((node for node in self.nodes if node.name == name), None)
        match node.op if node else None:
            case ops.Conv(activation=activation) | ops.Linear(activation=activation):
                return activation is not None
            case ops.HardSigmoid():
                return True
            case ops.Shuffle() | ops.Slice() | ops.Concat() | ops.MaxPool() | ops.Add():
                return node is not None and all(map(self.never_negative, node.inputs))
            case ops.GlobalAvgPool():
                return node is not None and self.never_negative(node.inputs[0])
            case _:
                return False

    @property
    def params(self) -> int:
        """Trained parameters: convolutions, batch norm, classifier."""
        return sum(ops.params(node.op) for node in self.nodes)

    @property
    def madds(self) -> int:
        """Multiply-accumulates of the convolutions, for one image."""
        return sum(ops.madds(node.op, node.shape) for node in self.nodes)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the float32 weights with batch norm folded."""
        return self.stored_bytes(FP32)

    @property
    def peak_bytes(self) -> int:
        """Largest sum of float32 activations that live at the same time; see `live_bytes`."""
        return self.live_bytes(FP32)

    def stored_bytes(self, precision: Precision) -> int:
        """Return the bytes of the weights and biases with batch norm folded."""
        biases = sum(ops.biases(node.op) for node in self.nodes)
        weights = sum(ops.deployed_params(node.op) for node in self.nodes) - biases
        return precision.weight_bytes * weights + precision.bias_bytes * biases

    def live_bytes(self, precision: Precision) -> int:
        """Return the largest sum of activations that live at the same time.

        A node's inputs and its result live while it runs; a value dies after its last reader.
        Everything is counted out of place: the image, and also what a runtime could do in place,
        such as an addition or a hard swish.

        A runtime may need more. ONNX Runtime 1.32 (x86, one thread) tells what its arena was asked
        for. In float32 at 224 px it is exactly this without grouped expansions, and 1.6 to 2.3
        times as much where the widest block has one (types 3 and 6), whose groups do not fit its
        blocked layout and are copied; 1.0 to 2.3 times at 32 px, and to 2.9 times for 8 channels
        at 16 px, which it pads to 16. In int8 it is 0.8 to 1.3 times as much at 224 px and up to
        2.3 times at 16 px. It holds more than it asked for, and the weights as well. LiteRT 2.3
        does not tell: its Python interface has no word for the arena.
        """
        shapes = {INPUT: self.input_shape} | {node.name: node.shape for node in self.nodes}
        last_use = dict.fromkeys(shapes, -1)
        for index, node in enumerate(self.nodes):
            last_use.update(dict.fromkeys(node.inputs, index))
        live, peak = {INPUT}, 0
        for index, node in enumerate(self.nodes):
            live.add(node.name)
            peak = max(peak, sum(math.prod(shapes[name]) for name in live))
            live -= {name for name in live if last_use[name] == index}
        return precision.value_bytes * peak

    def moved_bytes(self, node: Node) -> int:
        """Return the float32 bytes that `node` reads and writes, weights included."""
        inputs = (self.shape_of(name) for name in node.inputs)
        read = ops.values_read(node.op, *inputs)
        return FP32.value_bytes * (read + math.prod(node.shape) + ops.deployed_params(node.op))


@dataclass(slots=True)
class GraphBuilder:
    """Adds operations one after the other; each method returns the name of the result."""

    input_shape: Shape
    _nodes: list[Node] = field(default_factory=list)
    _shapes: dict[str, Shape] = field(default_factory=dict)

    def shape(self, name: str) -> Shape:
        """Return the shape of the input or of an earlier result."""
        return self.input_shape if name == INPUT else self._shapes[name]

    def conv(
        self,
        name: str,
        source: str,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = "relu6",
    ) -> str:
        """Add convolution, batch norm and, unless it is None, the activation."""
        in_channels = self.shape(source)[0]
        return self._add(
            name, ops.Conv(in_channels, out_channels, kernel, stride, groups, activation), source
        )

    def depthwise(
        self,
        name: str,
        source: str,
        stride: int,
        *,
        kernel: int = 3,
        activation: Activation | None = "relu6",
    ) -> str:
        """Add a depthwise convolution with batch norm and, unless it is None, the activation."""
        channels = self.shape(source)[0]
        options = {"kernel": kernel, "stride": stride, "groups": channels}
        return self.conv(name, source, channels, **options, activation=activation)

    def shuffle(self, name: str, source: str, groups: int) -> str:
        """Add a channel shuffle."""
        return self._add(name, ops.Shuffle(groups), source)

    def add(self, name: str, left: str, right: str) -> str:
        """Add an element-wise sum."""
        return self._add(name, ops.Add(), left, right)

    def multiply(self, name: str, values: str, factors: str) -> str:
        """Add the product of a feature map with one factor per channel."""
        return self._add(name, ops.Multiply(), values, factors)

    def hard_swish(self, name: str, source: str) -> str:
        """Add a hard swish."""
        return self._add(name, ops.HardSwish(), source)

    def hard_sigmoid(self, name: str, source: str) -> str:
        """Add a hard sigmoid."""
        return self._add(name, ops.HardSigmoid(), source)

    def slice(self, name: str, source: str, start: int, stop: int) -> str:
        """Add a selection of the channels from `start` up to but without `stop`."""
        return self._add(name, ops.Slice(start, stop), source)

    def concat(self, name: str, *sources: str) -> str:
        """Add a concatenation of channels."""
        return self._add(name, ops.Concat(), *sources)

    def max_pool(self, name: str, source: str, kernel: int, stride: int) -> str:
        """Add a maximum over windows."""
        return self._add(name, ops.MaxPool(kernel, stride), source)

    def global_avg_pool(self, name: str, source: str) -> str:
        """Add a global average pool."""
        return self._add(name, ops.GlobalAvgPool(), source)

    def linear(
        self, name: str, source: str, out_features: int, activation: Activation | None = None
    ) -> str:
        """Add a linear layer and, unless it is None, the activation."""
        return self._add(name, ops.Linear(self.shape(source)[0], out_features, activation), source)

    def build(self) -> Graph:
        """Return the finished graph."""
        return Graph(self.input_shape, tuple(self._nodes))

    def _add(self, name: str, op: Op, *sources: str) -> str:
        shape = op.output(*(self.shape(source) for source in sources))
        self._nodes.append(Node(name, op, sources, shape))
        self._shapes[name] = shape
        return name
