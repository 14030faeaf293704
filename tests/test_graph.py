"""Graphs refuse what cannot be run, and count what they say."""

from __future__ import annotations

import pytest

from hwnas.graph import INPUT, Conv, Graph, GraphBuilder, Node, random_weights, weight_shape


def test_a_graph_refuses_values_that_do_not_exist() -> None:
    node = Node("a", Conv(3, 8), ("b",), (8, 4, 4))
    with pytest.raises(ValueError, match="before it exists"):
        Graph((3, 4, 4), (node,))


def test_a_graph_refuses_a_name_twice() -> None:
    node = Node("a", Conv(3, 8), (INPUT,), (8, 4, 4))
    with pytest.raises(ValueError, match="defined twice"):
        Graph((3, 4, 4), (node, node))


def test_groups_must_divide_channels() -> None:
    with pytest.raises(ValueError, match="groups=4"):
        Conv(6, 8, groups=4)


def test_shapes_must_fit() -> None:
    builder = GraphBuilder((3, 8, 8))
    wide = builder.conv("wide", INPUT, 16)
    with pytest.raises(ValueError, match="shapes must be equal"):
        builder.add("sum", wide, INPUT)


def test_strides_and_padding_follow_torch() -> None:
    builder = GraphBuilder((3, 7, 7))
    assert builder.shape(builder.conv("a", INPUT, 8, kernel=3, stride=2)) == (8, 4, 4)
    assert builder.shape(builder.conv("b", "a", 8, kernel=3)) == (8, 4, 4)


def test_peak_memory_counts_what_lives_at_the_same_time() -> None:
    builder = GraphBuilder((1, 10, 10))
    wide = builder.conv("wide", INPUT, 6)
    narrow = builder.conv("narrow", wide, 1)
    builder.add("sum", INPUT, narrow)
    # While "narrow" runs, the input still waits for the sum: 100 + 600 + 100 numbers.
    assert builder.build().peak_bytes == 4 * 800


def test_random_weights_have_the_shapes_of_their_nodes() -> None:
    builder = GraphBuilder((4, 8, 8))
    builder.conv("conv", INPUT, 8, kernel=3, groups=2)
    builder.linear("linear", builder.global_avg_pool("pool", "conv"), 5)
    graph = builder.build()
    weights = random_weights(graph, seed=0)
    for name in ("conv", "linear"):
        op = next(node.op for node in graph if node.name == name)
        assert weights[name][0].shape == weight_shape(op)
        assert weights[name][1].shape == weight_shape(op)[:1]
