"""Counts on the graph against real files and a real runtime: file size, weights, live memory."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from contents import in_8_bits

from hwnas import cost
from hwnas.cost import file_bytes
from hwnas.cost.file_size import STRUCTURES
from hwnas.errors import UserError
from hwnas.graph import FP32, ImageInput, find_precision, random_weights
from hwnas.graph.inputs import IMAGENET_MEAN, IMAGENET_STD
from hwnas.spaces import SPACES
from hwnas.targets.formats import find_format
from hwnas.targets.onnx import emitter
from hwnas.targets.shared.format import Content
from hwnas.workflows.search.budgets import deployment, exact_cost

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.graph import Graph
    from hwnas.spaces import Arch, RcnetSpace

METADATA = {
    "hwnas.version": "0.1.0",
    "hwnas.space": "rcnet-224px-1000c-w0.5",
    "hwnas.arch": ",".join(["6"] * 36),
    "hwnas.weights": "RANDOM: not trained",
    "hwnas.run": "rcnet-imagenet-iphone5s-0123456789ab",
}


def networks(space: RcnetSpace) -> list[Arch]:
    rng = np.random.default_rng(5)
    return [space.start(), space.parse(",".join(["6"] * 36)), space.sample(rng)]


def exported(graph: Graph, form: str, precision: str = "fp32") -> bytes:
    """The file as `hwnas export` writes it, with labels as long as ImageNet's."""
    labels = tuple(f"sulphur-crested no. {index:03d}" for index in range(graph.output.shape[0]))
    images = ImageInput(IMAGENET_MEAN, IMAGENET_STD, labels)
    about, weights = (images, METADATA), random_weights(graph, seed=0)
    if precision == "int8":
        return find_format(form).emit(in_8_bits(graph, weights, None, *about)).content
    return find_format(form).emit(Content(graph, weights, *about)).content


@pytest.mark.parametrize(("form", "precision"), STRUCTURES)
@pytest.mark.parametrize("name", ["rcnet-imagenet", "rcnet-cifar10", "rcnet-digits"])
def test_no_file_is_larger_than_its_bound_and_few_bytes_are_given_away(
    name: str, form: str, precision: str
) -> None:
    space = SPACES[name]
    for arch in networks(space):
        graph = space.graph(arch)
        bound = file_bytes(graph, form, find_precision(precision))
        size = len(exported(graph, form, precision))
        assert size <= bound, f"{form} {space.format(arch)}: {size} > {bound}"
        assert bound < 1.02 * size + 30 * space.classes


def test_the_size_of_a_network_is_the_sum_of_its_parts() -> None:
    for space in SPACES.values():
        function = cost.size(space, "coreml")
        for arch in networks(space):
            assert function.of(arch) == file_bytes(space.graph(arch), "coreml")


def test_bytes_follow_the_precision() -> None:
    space = SPACES["rcnet-cifar10"]
    graph = space.graph(space.start())
    biases = sum(node.op.out_channels for node in graph if hasattr(node.op, "out_channels")) + 10
    numbers = graph.weight_bytes // 4
    assert graph.stored_bytes(FP32) == 4 * numbers
    assert graph.stored_bytes(find_precision("fp16")) == 2 * numbers
    assert graph.stored_bytes(find_precision("int8")) == numbers + 3 * biases
    assert 4 * graph.live_bytes(find_precision("int8")) == graph.peak_bytes
    with pytest.raises(UserError, match="unknown precision 'int4'"):
        find_precision("int4")


def test_memory_and_size_are_those_of_the_target(tmp_path: Path) -> None:
    space = SPACES["rcnet-imagenet"]
    assert deployment(None) == ("onnx", FP32)
    assert deployment("iphone5s") == ("coreml", FP32)
    phone = exact_cost("size", space, "iphone5s")
    assert phone.label == "at most, as coreml fp32"
    assert phone.of(space.start()) == file_bytes(space.graph(space.start()), "coreml")
    with pytest.raises(UserError, match="size of paper fp32 files is not known"):
        cost.size(space, "paper")


def test_weights_in_the_file_are_those_of_the_graph() -> None:
    """The file's own numbers, read back by the onnx package: no count of ours."""
    import onnx

    space = SPACES["rcnet-cifar10"]
    for arch in networks(space):
        graph = space.graph(arch)
        model = onnx.load_model_from_string(exported(graph, "onnx"))
        stored = sum(len(t.raw_data) for t in model.graph.initializer if len(t.raw_data) > 40)
        assert 0 <= graph.weight_bytes - stored <= 4 * 40 * len(graph)
        floats = [t for t in model.graph.initializer if t.name.endswith((".weight", ".bias"))]
        assert 4 * sum(math.prod(t.dims) for t in floats) == graph.weight_bytes


def arena_bytes(graph: Graph, folder: Path) -> int:
    """Peak of activations that ONNX Runtime asked its arena for, by its own profile."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.enable_mem_pattern = 1, False
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    model = emitter.emit(Content(graph, random_weights(graph, seed=0)))
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.run(None, {"input": np.zeros((1, *graph.input_shape), np.float32)})
    with open(session.end_profiling(), encoding="utf-8") as stream:  # noqa: PTH123
        events: list[dict[str, Any]] = json.load(stream)
    nodes = [event["args"] for event in events if event.get("cat") == "Node"]
    if not nodes or "mem_bytes_requested_in_use" not in nodes[0]:
        pytest.skip("this ONNX Runtime does not tell what its arena holds")
    before = int(nodes[0]["mem_bytes_requested_in_use"]) - int(
        nodes[0]["mem_requested_in_use_delta"]
    )
    return max(int(node["mem_bytes_requested_in_use"]) for node in nodes) - before


ARENA = {"rcnet-imagenet": 2.5, "rcnet-cifar10": 2.5, "rcnet-digits": 3.0}
"""Greatest arena over `peak_bytes`, as stated where it is counted."""


@pytest.mark.parametrize("name", ARENA)
def test_the_arena_of_onnx_runtime_is_asked_for_live_activations_or_more(
    name: str, tmp_path: Path
) -> None:
    space = SPACES[name]
    for arch in networks(space):
        graph = space.graph(arch)
        ratio = arena_bytes(graph, tmp_path) / graph.peak_bytes
        assert 1 <= ratio <= ARENA[name], f"{space.format(arch)}: {ratio:.3f}"


def test_without_grouped_expansions_the_arena_is_asked_for_exactly_the_live_activations(
    tmp_path: Path,
) -> None:
    space = SPACES["rcnet-imagenet"]
    for block in (1, 2, 4, 5):
        graph = space.graph(space.parse("|".join([f"{block},0,0,0,0,0"] * 6)))
        assert arena_bytes(graph, tmp_path) == graph.peak_bytes
