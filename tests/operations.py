"""Every operation alone, as a graph: what each format and runtime has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.graph import INPUT, GraphBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.graph import Graph, Shape


def single(build: Callable[[GraphBuilder], object], shape: Shape = (8, 7, 6)) -> Graph:
    """Return a graph that `build` adds an operation or two to."""
    builder = GraphBuilder(shape)
    build(builder)
    return builder.build()


OPERATIONS: dict[str, Graph] = {
    "dense": single(lambda b: b.conv("c", INPUT, 12)),
    "relu": single(lambda b: b.conv("c", INPUT, 12, activation="relu")),
    "linear": single(lambda b: b.conv("c", INPUT, 12, activation=None)),
    "3x3": single(lambda b: b.conv("c", INPUT, 12, kernel=3)),
    "3x3 stride 2": single(lambda b: b.conv("c", INPUT, 12, kernel=3, stride=2)),
    "grouped": single(lambda b: b.conv("c", INPUT, 12, groups=4)),
    "depthwise": single(lambda b: b.depthwise("d", INPUT, 1)),
    "depthwise stride 2": single(lambda b: b.depthwise("d", INPUT, 2)),
    "shuffle": single(lambda b: b.shuffle("s", INPUT, 4)),
    "add": single(lambda b: b.add("a", INPUT, b.conv("c", INPUT, 8, activation=None))),
    "pool": single(lambda b: b.global_avg_pool("p", INPUT)),
    "5x5": single(lambda b: b.depthwise("d", INPUT, 2, kernel=5, activation=None)),
    "gate": single(
        lambda b: b.multiply("m", INPUT, b.hard_sigmoid("h", b.global_avg_pool("p", INPUT)))
    ),
    "squeeze and excitation": single(
        lambda b: b.multiply(
            "m",
            INPUT,
            b.hard_sigmoid(
                "h", b.linear("e", b.linear("s", b.global_avg_pool("p", INPUT), 4, "relu"), 8)
            ),
        )
    ),
    "hard swish": single(lambda b: b.hard_swish("h", INPUT)),
    "hard sigmoid": single(lambda b: b.hard_sigmoid("h", INPUT)),
    "hard sigmoid of features": single(
        lambda b: b.hard_sigmoid("h", b.linear("l", b.global_avg_pool("p", INPUT), 10))
    ),
    "halves of a shuffle": single(
        lambda b: b.concat(
            "j",
            b.conv("c", b.slice("upper", b.shuffle("s", INPUT, 2), 4, 8), 4),
            b.conv("d", b.slice("lower", "s", 0, 4), 4),
        )
    ),
    "shuffle that is read whole and in part": single(
        lambda b: b.concat("j", b.slice("part", b.shuffle("s", INPUT, 2), 0, 4), "s")
    ),
    "slice": single(lambda b: b.slice("s", INPUT, 2, 7)),
    "concat": single(lambda b: b.concat("j", b.conv("c", INPUT, 4), b.conv("d", INPUT, 6))),
    # Stored like the input, which goes below zero, the convolution is not cut off by its integers.
    "concat with less than a clamp": single(lambda b: b.concat("j", INPUT, b.conv("c", INPUT, 4))),
    "max pool": single(lambda b: b.max_pool("p", b.conv("c", INPUT, 8), 3, 2)),
    "max pool of even size": single(
        lambda b: b.max_pool("p", b.conv("c", INPUT, 8), 3, 2), (8, 6, 8)
    ),
    "max pool of odd size": single(lambda b: b.max_pool("p", INPUT, 3, 2), (8, 7, 9)),
    "max pool below zero": single(lambda b: b.max_pool("p", INPUT, 3, 2)),
    "linear relu": single(lambda b: b.linear("l", b.global_avg_pool("p", INPUT), 10, "relu")),
    "classifier": single(lambda b: b.linear("l", b.global_avg_pool("p", INPUT), 10)),
}
"""By name."""
