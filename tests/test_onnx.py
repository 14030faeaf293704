"""ONNX files: right by ONNX's checker, by ONNX Runtime, and by torch's own exporter."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from functional import relative_error, rounding_effect, run
from hypothesis import example, given, settings
from hypothesis import strategies as st
from operations import OPERATIONS

from hwnas.graph import INPUT, GraphBuilder, Shuffle, random_weights, unnamed
from hwnas.models.network import Network, fold, initialise
from hwnas.spaces import PUBLISHED, SPACES, RcnetSpace, find_space, mobilenet_v2
from hwnas.targets.onnx.emitter import emit
from hwnas.targets.onnx.runtime import OnnxRuntime
from hwnas.targets.shared.format import Content

if TYPE_CHECKING:
    from hwnas.graph import Graph, Weights

SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)


def _images(space: RcnetSpace, count: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *space.input_shape)).astype(np.float32)


def _agree(model: bytes, graph: Graph, weights: Weights, images: np.ndarray) -> None:
    """Require 1e-5 relative, or a few times what one float32 rounding of the weights does."""
    expected = run(graph, weights, images)
    rounding = rounding_effect(graph, weights, images, expected)
    assert rounding < 1e-3
    found = OnnxRuntime(model).predict(images)
    assert relative_error(found, expected) < max(1e-5, 5 * rounding)


@settings(max_examples=20, deadline=None)
@example(906)  # amplifies rounding ten times as much as most
@given(st.integers(0, 10**6))
def test_onnx_runtime_agrees_with_torch_functions(seed: int) -> None:
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    weights = random_weights(graph, seed)
    model = emit(Content(graph, weights))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    _agree(model, graph, weights, _images(SMALL))


def test_the_comparison_sees_a_wrong_shuffle() -> None:
    graph = SMALL.graph(SMALL.add(SMALL.start(), (1, 2)))
    weights, images = random_weights(graph, 0), _images(SMALL)
    nodes = tuple(
        dataclasses.replace(node, op=Shuffle(node.shape[0] // 2))
        if isinstance(node.op, Shuffle)
        else node
        for node in graph
    )
    wrong = emit(Content(dataclasses.replace(graph, nodes=nodes), weights))
    with pytest.raises(AssertionError):
        _agree(wrong, graph, weights, images)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_networks_pass_the_checker_and_agree(name: str) -> None:
    space = SPACES[name.replace("-b-", "-")]
    graph = space.graph(space.parse(PUBLISHED[name]))
    weights, images = random_weights(graph, 0), _images(space)
    model = emit(Content(graph, weights))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    _agree(model, graph, weights, images)
    assert len(model) == pytest.approx(graph.weight_bytes, rel=0.02)


def test_mobilenet_v2_is_emitted_too() -> None:
    graph = mobilenet_v2(32, 10, 0.25)
    weights = random_weights(graph, 0)
    _agree(emit(Content(graph, weights)), graph, weights, _images(SMALL))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_alone_passes_the_checker_and_agrees(operation: str) -> None:
    graph = OPERATIONS[operation]
    weights = random_weights(graph, 0)
    images = np.random.default_rng(0).standard_normal((2, *graph.input_shape)).astype(np.float32)
    model = emit(Content(graph, weights))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    _agree(model, graph, weights, images)


def test_shuffle_interleaves_the_groups() -> None:
    builder = GraphBuilder((6, 2, 2))
    builder.global_avg_pool("pool", builder.shuffle("shuffle", INPUT, 2))
    channels = np.arange(6, dtype=np.float32)[None, :, None, None] * np.ones((1, 6, 2, 2), "f4")
    found = OnnxRuntime(emit(Content(builder.build(), {}))).predict(channels)
    assert found.tolist() == [[0, 3, 1, 4, 2, 5]]


@pytest.mark.filterwarnings(
    "ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning",
    "ignore:The feature will be removed:DeprecationWarning:torch.onnx",
)
@pytest.mark.parametrize("seed", [4, 5])
def test_torchs_exporter_gives_the_same_network(seed: int) -> None:
    """The unfolded module by way of another exporter: a witness for folding and emitter at once."""
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    network = Network(graph).eval()
    initialise(network, seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
    images = _images(SMALL, 1)
    stream = io.BytesIO()
    torch.onnx.export(network, (torch.from_numpy(images),), stream, dynamo=False, opset_version=13)
    theirs = OnnxRuntime(stream.getvalue()).predict(images)
    ours = OnnxRuntime(emit(Content(graph, fold(network)))).predict(images)
    assert relative_error(ours, theirs) < 2e-4
    with torch.no_grad():
        assert relative_error(ours, network(torch.from_numpy(images)).numpy()) < 2e-4


def test_labels_normalisation_and_origin_are_in_the_file() -> None:
    graph = SMALL.graph(SMALL.start())
    model = emit(Content(graph, random_weights(graph, 0), unnamed(10), {"hwnas.arch": "s0"}))
    props = {p.key: p.value for p in onnx.load_from_string(model).metadata_props}
    assert json.loads(props["labels"])[3] == "class 3"
    assert json.loads(props["image.mean"]) == [0.485, 0.456, 0.406]
    assert props["hwnas.arch"] == "s0"
