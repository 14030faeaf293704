"""TFLite files that take pixels as they are: the same scores, whatever is at the borders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel
from exporting import export_network

from hwnas.errors import UserError
from hwnas.graph import GraphBuilder, ImageInput, random_weights
from hwnas.spaces import find_space
from hwnas.targets.formats import find_format
from hwnas.targets.shared import compute
from hwnas.targets.shared.format import Content, normalised
from hwnas.targets.tflite import emitter, pixels
from hwnas.targets.tflite.runtime import LiteRt
from hwnas.workflows.winner import Winner

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shell

SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)
GRAPH = SMALL.graph(SMALL.canonical(SMALL.add(SMALL.start(), (1, 2))))
WEIGHTS = random_weights(GRAPH, 0)
IMAGES = ImageInput((0.485, 0.1, 0.9), (0.229, 0.5, 0.1), tuple("abcdefghij"))
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def expected() -> np.ndarray:
    return compute.run(GRAPH, WEIGHTS, normalised(PIXELS, IMAGES))


def unit() -> np.ndarray:
    return normalised(PIXELS, pixels.as_taken(IMAGES))


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-5), ("fp16", 1e-2)])
def test_scores_are_those_of_normalised_images_borders_included(
    precision: str, limit: float
) -> None:
    weights, inside = pixels.adapted(GRAPH, WEIGHTS, IMAGES, "fp32")
    made = emitter.emit(Content(GRAPH, weights, inside, {}, precision), pixels=True)
    CompiledModel.from_buffer(made)
    found, exact = LiteRt(made).predict(unit()), expected()
    assert np.abs(found - exact).max() <= limit * np.abs(exact).max()


def test_an_image_of_the_means_colour_is_zero_inside() -> None:
    """What a padded border must be: so the mean cannot move into the first convolution's bias."""
    weights, inside = pixels.adapted(GRAPH, WEIGHTS, IMAGES, "fp32")
    made = LiteRt(emitter.emit(Content(GRAPH, weights, inside, {}), pixels=True))
    mean = np.broadcast_to(np.array(IMAGES.mean, np.float32)[:, None, None], (3, 32, 32))[None]
    zero = compute.run(GRAPH, WEIGHTS, np.zeros((1, 3, 32, 32)))
    assert np.allclose(made.predict(mean), zero, atol=1e-6)


def test_8_bit_files_take_bytes_and_give_floats_and_lose_no_more(tmp_path: Path) -> None:
    winner = Winner(SMALL, SMALL.canonical(SMALL.start()))
    found = {}
    for own in (False, True):
        form = find_format("tflite", pixels=own)
        about = export_network(winner, form, "int8", tmp_path)
        found[own] = about["precision_effect"]["rms_rel"]
    assert about["mediapipe"] is True
    assert found[True] < 1.3 * found[False]
    parsed = schema.ModelT.InitFromPackedBuf((tmp_path / about["file"]).read_bytes(), 0)
    (subgraph,) = parsed.subgraphs
    source, result = subgraph.tensors[subgraph.inputs[0]], subgraph.tensors[subgraph.outputs[0]]
    assert source.type == schema.TensorType.UINT8
    assert source.quantization.scale == pytest.approx([1 / 255])
    assert list(source.quantization.zeroPoint) == [0]
    assert result.type == schema.TensorType.FLOAT32
    assert (source.name, result.name) == (b"input", b"logits")


def test_the_mean_is_told_as_the_8_bit_file_holds_it() -> None:
    _, inside = pixels.adapted(GRAPH, WEIGHTS, IMAGES, "int8")
    whole, scale = pixels.in_steps(inside.mean)
    assert np.abs(np.array(inside.mean) - IMAGES.mean).max() <= scale / 2
    assert np.allclose(whole * scale, inside.mean, rtol=0, atol=1e-9)
    black = ImageInput((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), ())
    assert pixels.adapted(GRAPH, WEIGHTS, black, "int8")[1].mean == (0.0, 0.0, 0.0)


def test_the_metadata_tells_what_the_file_takes() -> None:
    weights, inside = pixels.adapted(GRAPH, WEIGHTS, IMAGES, "fp32")
    parsed = schema.ModelT.InitFromPackedBuf(
        emitter.emit(Content(GRAPH, weights, inside, {}), pixels=True), 0
    )
    found = {
        entry.name.decode(): bytes(parsed.buffers[entry.buffer].data) for entry in parsed.metadata
    }
    assert json.loads(found["image.mean"]) == [0, 0, 0]
    assert json.loads(found["image.std"]) == [1, 1, 1]
    assert json.loads(found["labels"]) == list(IMAGES.labels)


def test_a_network_that_pools_its_image_first_is_refused() -> None:
    builder = GraphBuilder((3, 8, 8))
    builder.max_pool("pool", "input", 3, 2)
    graph = builder.build()
    with pytest.raises(UserError, match="whose convolutions read the image"):
        pixels.adapted(graph, {}, IMAGES, "fp32")


def test_the_option_is_for_tflite_alone_and_says_what_it_did(shell: Shell) -> None:
    network = ("--arch", SMALL.format(SMALL.start()), "--space", "rcnet", "--input", "32")
    small = ("--classes", "10", "--width", "0.25", "--random-weights", "--mediapipe")
    told = shell("export", *network, *small, "--format", "onnx").must(2).err
    assert "--mediapipe is for TFLite files, not for onnx" in told
    done = shell("export", *network, *small, "--format", "tflite").must()
    assert "takes pixels as they are (mean 0, std 255)" in done.out
