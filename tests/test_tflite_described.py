"""Metadata for TFLite files of other writers: the model stays as it is, byte for byte."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel
from contents import in_8_bits

from hwnas.errors import UserError
from hwnas.graph import ImageInput, random_weights, unnamed
from hwnas.spaces import find_space
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite.described import described, with_entries
from hwnas.targets.tflite.emitter import emit
from hwnas.targets.tflite.flatbuffer import ALIGNMENT
from hwnas.targets.tflite.runtime import LiteRt

SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)
GRAPH = SMALL.graph(SMALL.add(SMALL.start(), (1, 2)))
WEIGHTS = random_weights(GRAPH, 0)
IMAGES = ImageInput((0.5, 0.25, 0.0), (0.5, 0.5, 1.0), tuple("abcdefghij"))


def packed(model: bytes, change: Any = None) -> bytes:
    """The model as another writer lays it out: LiteRT's own classes for the schema."""
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    if change is not None:
        change(parsed)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(parsed.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def quantised(model: bytes) -> bytes:
    from litert_quantizer import quantizer, recipe

    work = quantizer.Quantizer(model, recipe.dynamic_wi8_afp32())
    return bytes(work.quantize().quantized_model)


MODELS = {
    "hwnas": emit(Content(GRAPH, WEIGHTS)),
    "hwnas-int8": emit(in_8_bits(GRAPH, WEIGHTS)),
    "packed": packed(emit(Content(GRAPH, WEIGHTS))),
}


@pytest.fixture(params=[*MODELS, "quantised"])
def model(request: pytest.FixtureRequest) -> bytes:
    return MODELS.get(request.param) or quantised(MODELS["packed"])


def parse(model: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(model, 0)


def entries(model: bytes) -> dict[str, bytes]:
    parsed = parse(model)
    return {
        entry.name.decode(): bytes(parsed.buffers[entry.buffer].data) for entry in parsed.metadata
    }


def test_the_old_file_lies_whole_and_aligned_in_the_new_one(model: bytes) -> None:
    made = described(model, (3, 32, 32), IMAGES, {"hwnas.source": "net.py:build"})
    assert made.index(model) % ALIGNMENT == 0
    assert len(made) < len(model) + 4096


def test_litert_verifies_the_file_and_computes_the_very_same(model: bytes) -> None:
    made = described(model, (3, 32, 32), IMAGES, {})
    CompiledModel.from_buffer(made)
    values = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    assert np.array_equal(LiteRt(made).predict(values), LiteRt(model).predict(values))


def test_nothing_but_the_lists_of_buffers_and_metadata_has_changed(model: bytes) -> None:
    before, after = parse(model), parse(with_entries(model, {"note": b"hello"}))
    after.buffers.pop()
    assert after.metadata.pop().name == b"note"
    before.metadata, after.metadata = before.metadata or None, after.metadata or None
    builders = [flatbuffers.Builder(len(model)) for _ in range(2)]
    for builder, parsed in zip(builders, (before, after), strict=True):
        builder.Finish(parsed.Pack(builder), file_identifier=b"TFL3")
    assert builders[0].Output() == builders[1].Output()


def test_the_metadata_is_that_of_hwnass_own_files(model: bytes) -> None:
    made = entries(described(model, (3, 32, 32), IMAGES, {"hwnas.arch": "s0"}))
    own = entries(emit(Content(GRAPH, WEIGHTS, IMAGES, {"hwnas.arch": "s0"})))
    assert {name: made[name] for name in own} == own
    with zipfile.ZipFile(io.BytesIO(described(model, (3, 32, 32), IMAGES, {}))) as archive:
        assert archive.read("labels.txt").decode().split() == list(IMAGES.labels)


def test_entries_that_are_there_stay_unless_they_are_given_anew() -> None:
    first = with_entries(MODELS["packed"], {"kept": b"1", "changed": b"2"})
    second = with_entries(first, {"changed": b"3", "new": b"4"})
    assert entries(second) == {"kept": b"1", "changed": b"3", "new": b"4"}
    CompiledModel.from_buffer(second)


def test_equal_arguments_give_equal_bytes(model: bytes) -> None:
    once, twice = (described(model, (3, 32, 32), unnamed(10), {"a": "b"}) for _ in range(2))
    assert once == twice


def test_weights_outside_the_flatbuffer_are_refused_in_one_line() -> None:
    def outside(parsed: Any) -> None:
        parsed.buffers[1].data, parsed.buffers[1].offset, parsed.buffers[1].size = None, 4096, 16

    with pytest.raises(UserError, match="weights lie outside the flatbuffer"):
        with_entries(packed(MODELS["packed"], outside), {"note": b""})


def test_fields_of_a_later_format_are_refused_rather_than_dropped() -> None:
    builder = flatbuffers.Builder(64)
    builder.StartObject(11)
    builder.PrependUint32(3)
    builder.Slot(10)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    with pytest.raises(UserError, match="later version of the format"):
        with_entries(bytes(builder.Output()), {"note": b""})
