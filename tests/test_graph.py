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


def test_what_cannot_be_negative_is_known_by_what_made_it() -> None:
    builder = GraphBuilder((8, 4, 4))
    clamped = builder.conv("clamped", INPUT, 8, activation="relu")
    builder.max_pool("pool", builder.shuffle("shuffle", clamped, 2), 3, 2)
    builder.concat("mixed", clamped, builder.conv("free", INPUT, 8, activation=None))
    builder.hard_swish("swish", clamped)
    graph = builder.build()
    assert all(graph.never_negative(name) for name in ("clamped", "shuffle", "pool"))
    assert not any(graph.never_negative(name) for name in (INPUT, "free", "mixed", "swish"))


def test_operations_refuse_what_does_not_fit() -> None:
    builder = GraphBuilder((8, 4, 4))
    pooled = builder.global_avg_pool("pooled", builder.slice("half", INPUT, 0, 4))
    for wrong in (
        lambda: builder.multiply("a", INPUT, pooled),
        lambda: builder.slice("b", INPUT, 4, 9),
        lambda: builder.slice("c", INPUT, 4, 4),
        lambda: builder.concat("d", INPUT),
        lambda: builder.concat("e", INPUT, builder.max_pool("small", INPUT, 3, 2)),
    ):
        with pytest.raises(ValueError, match=r"got|slice"):
            wrong()


def test_a_slice_reads_what_it_keeps_and_a_concatenation_reads_all() -> None:
    builder = GraphBuilder((8, 4, 4))
    builder.concat("all", builder.slice("some", INPUT, 2, 5), INPUT)
    some, everything = (graph := builder.build())
    assert (some.shape, everything.shape) == ((3, 4, 4), (11, 4, 4))
    assert graph.moved_bytes(some) == 4 * 16 * (3 + 3)
    assert graph.moved_bytes(everything) == 4 * 16 * (3 + 8 + 11)
    # While the maps are joined, the image, the slice and the result live.
    assert graph.peak_bytes == 4 * 16 * (8 + 3 + 11)
    assert graph.params == graph.madds == 0


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
