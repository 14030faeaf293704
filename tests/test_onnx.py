"""ONNX files: right by ONNX's checker, by ONNX Runtime, and by torch's own exporter."""

from __future__ import annotations

import io
import json

import numpy as np
import onnx
import pytest
import torch
from functional import relative_error, run
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.graph import INPUT, GraphBuilder, random_weights, unnamed
from hwnas.models.network import Network, fold, initialise
from hwnas.spaces import PUBLISHED, SPACES, RcnetSpace, find_space, mobilenet_v2
from hwnas.targets.onnx.emitter import emit
from hwnas.targets.onnx.runtime import OnnxRuntime

SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)


def _images(space: RcnetSpace, count: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *space.input_shape)).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_onnx_runtime_agrees_with_torch_functions(seed: int) -> None:
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    weights, images = random_weights(graph, seed), _images(SMALL)
    found = OnnxRuntime(emit(graph, weights)).predict(images)
    assert relative_error(found, run(graph, weights, images)) < 5e-5


@pytest.mark.parametrize("name", ["rcnet-cifar100", "rcnet-imagenet"])
def test_published_networks_pass_the_checker_and_agree(name: str) -> None:
    space = SPACES[name]
    graph = space.graph(space.parse(PUBLISHED[name]))
    weights, images = random_weights(graph, 0), _images(space)
    model = emit(graph, weights)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    assert relative_error(OnnxRuntime(model).predict(images), run(graph, weights, images)) < 5e-5
    assert len(model) == pytest.approx(graph.weight_bytes, rel=0.02)


def test_mobilenet_v2_is_emitted_too() -> None:
    graph = mobilenet_v2(32, 10, 0.25)
    weights, images = random_weights(graph, 0), _images(SMALL)
    found = OnnxRuntime(emit(graph, weights)).predict(images)
    assert relative_error(found, run(graph, weights, images)) < 5e-5


def test_shuffle_interleaves_the_groups() -> None:
    builder = GraphBuilder((6, 2, 2))
    builder.global_avg_pool("pool", builder.shuffle("shuffle", INPUT, 2))
    channels = np.arange(6, dtype=np.float32)[None, :, None, None] * np.ones((1, 6, 2, 2), "f4")
    found = OnnxRuntime(emit(builder.build(), {})).predict(channels)
    assert found.tolist() == [[0, 3, 1, 4, 2, 5]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*legacy.*:UserWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchs_exporter_gives_the_same_network() -> None:
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(4)))
    network = Network(graph).eval()
    initialise(network, 0)
    images = _images(SMALL, 1)
    stream = io.BytesIO()
    torch.onnx.export(network, (torch.from_numpy(images),), stream, dynamo=False, opset_version=13)
    theirs = OnnxRuntime(stream.getvalue()).predict(images)
    ours = OnnxRuntime(emit(graph, fold(network))).predict(images)
    assert relative_error(ours, theirs) < 5e-5


def test_labels_normalisation_and_origin_are_in_the_file() -> None:
    graph = SMALL.graph(SMALL.start())
    model = emit(graph, random_weights(graph, 0), unnamed(10), {"hwnas.arch": "s0"})
    props = {p.key: p.value for p in onnx.load_from_string(model).metadata_props}
    assert json.loads(props["labels"])[3] == "class 3"
    assert json.loads(props["image.mean"]) == [0.485, 0.456, 0.406]
    assert props["hwnas.arch"] == "s0"
