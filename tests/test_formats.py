"""What formats share: the walk over a graph, the content of a file, the doors by name."""

from __future__ import annotations

import weakref
from typing import Any, get_args

import numpy as np
import pytest

from hwnas.errors import UserError
from hwnas.graph import INPUT, GraphBuilder, Op, random_weights
from hwnas.targets.formats import CONVERTED, FORMATS, find_converter, find_format
from hwnas.targets.shared import compute
from hwnas.targets.shared.format import Content
from hwnas.targets.shared.walk import Walk


def test_a_walk_needs_a_method_for_every_operation() -> None:
    assert len(Walk.__abstractmethods__) == len(get_args(Op))

    class Short(Walk[str]):
        def add(self, node: Any, left: str, right: str) -> str:
            return node.name

    with pytest.raises(TypeError, match="abstract"):
        Short()


def test_a_value_is_dropped_after_its_last_reader() -> None:
    builder = GraphBuilder((2, 4, 4))
    for name, source in (("a", INPUT), ("b", "a"), ("c", "b"), ("d", "c")):
        builder.hard_swish(name, source)
    graph = builder.build()
    alive: list[weakref.ref[Any]] = []
    for _, value in compute.values(graph, {}, np.ones((1, 2, 4, 4), np.float32)):
        alive.append(weakref.ref(value))
        del value
        assert sum(each() is not None for each in alive) <= 3


def test_a_file_that_lacks_something_says_so() -> None:
    builder = GraphBuilder((2, 4, 4))
    builder.conv("c", INPUT, 2)
    content = Content(builder.build(), random_weights(builder.build(), 0), precision="int8")
    with pytest.raises(ValueError, match="8-bit values need calibration"):
        find_format("onnx").emit(content)
    with pytest.raises(ValueError, match="how it takes images"):
        content.of_images  # noqa: B018 - a property


def test_formats_and_converters_are_found_by_name() -> None:
    for name in FORMATS:
        assert find_format(name).name == name
    for name in CONVERTED:
        assert set(find_converter(name).precisions) <= {"fp32", "fp16", "int8"}
    with pytest.raises(UserError, match="unknown format 'pdf'"):
        find_format("pdf", pixels=True)
    with pytest.raises(UserError, match="unknown format 'coreml'"):
        find_converter("coreml")
