"""TFLite's own metadata, read back by the field numbers that its schema publishes.

The reader below knows metadata_schema.fbs 1.5.0 and nothing of hwnas: it finds tables by number, as
the libraries on a phone do.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel
from contents import in_8_bits
from flatbuffers.table import Table

import hwnas
from hwnas.graph import ImageInput, random_weights, unnamed
from hwnas.spaces import find_space
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite.emitter import emit
from hwnas.targets.tflite.metadata import describe, label_lines
from hwnas.targets.tflite.runtime import LiteRt

SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)
GRAPH = SMALL.graph(SMALL.add(SMALL.start(), (1, 2)))
WEIGHTS = random_weights(GRAPH, 0)
IMAGES = unnamed(10)
EMITTERS = {
    "fp32": lambda images: emit(Content(GRAPH, WEIGHTS, images, {"hwnas.arch": "s0"})),
    "int8": lambda images: emit(in_8_bits(GRAPH, WEIGHTS, None, images, {"hwnas.arch": "s0"})),
}
NAME = 0  # of a model, a tensor and a file alike
DESCRIPTION = 1


@dataclass(frozen=True)
class Fields:
    """A table of a flatbuffer, by numbers of fields."""

    table: Table

    def _place(self, number: int) -> int:
        return int(self.table.Offset(4 + 2 * number))

    def number(self, number: int, flags: Any) -> Any:
        place = self._place(number)
        return self.table.Get(flags, self.table.Pos + place) if place else 0

    def text(self, number: int) -> str | None:
        place = self._place(number)
        return self.table.String(self.table.Pos + place).decode() if place else None

    def child(self, number: int) -> Fields:
        return Fields(Table(self.table.Bytes, self.table.Indirect(self._at(number))))

    def union(self, number: int) -> Fields:
        child = Table(self.table.Bytes, 0)
        self.table.Union(child, self._place(number))
        return Fields(child)

    def children(self, number: int) -> list[Fields]:
        start, count = self._vector(number)
        places = [self.table.Indirect(start + 4 * index) for index in range(count)]
        return [Fields(Table(self.table.Bytes, place)) for place in places]

    def floats(self, number: int) -> np.ndarray:
        start, count = self._vector(number)
        return np.frombuffer(self.table.Bytes, "<f4", count, start)

    def _at(self, number: int) -> int:
        place = self._place(number)
        assert place, f"field {number} is missing"
        return int(self.table.Pos + place)

    def _vector(self, number: int) -> tuple[int, int]:
        self._at(number)
        place = self._place(number)
        return self.table.Vector(place), self.table.VectorLen(place)


BYTE, UBYTE, UINT = (
    flatbuffers.number_types.Int8Flags,
    flatbuffers.number_types.Uint8Flags,
    flatbuffers.number_types.Uint32Flags,
)


def _entries(model: bytes) -> dict[str, bytes]:
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    return {
        entry.name.decode(): bytes(parsed.buffers[entry.buffer].data) for entry in parsed.metadata
    }


def _metadata(model: bytes) -> Fields:
    content = _entries(model)["TFLITE_METADATA"]
    assert flatbuffers.util.BufferHasIdentifier(content, 0, b"M001")
    root = flatbuffers.encode.Get(flatbuffers.packer.uoffset, content, 0)
    return Fields(Table(content, root))


@pytest.fixture(params=EMITTERS)
def model(request: pytest.FixtureRequest) -> bytes:
    return EMITTERS[request.param](IMAGES)


def test_the_model_names_itself_its_version_and_the_parser_that_it_needs(model: bytes) -> None:
    about = _metadata(model)
    assert about.text(NAME) == "hwnas image classifier"
    assert about.text(DESCRIPTION) == "Classifier of 32x32 images into 10 classes"
    assert about.text(2) == hwnas.__version__
    assert about.text(4) == "hwnas"  # author
    assert about.text(5) is None  # license: the user's to give
    assert about.text(7) == "1.0.0"  # min_parser_version


def test_the_input_is_an_rgb_image_of_the_networks_size(model: bytes) -> None:
    (subgraph,) = _metadata(model).children(3)
    (source,) = subgraph.children(2)
    assert (source.text(NAME), source.text(DESCRIPTION)) == ("image", "RGB image, 32x32 pixels")
    content = source.child(3)
    assert content.number(0, UBYTE) == 2  # ImageProperties
    image = content.union(1)
    assert image.number(0, BYTE) == 1  # RGB
    assert [image.child(1).number(side, UINT) for side in (0, 1)] == [32, 32]


def test_the_normalisation_of_pixels_0_to_255_is_that_of_the_training(model: bytes) -> None:
    (source,) = _metadata(model).children(3)[0].children(2)
    (unit,) = source.children(4)
    assert unit.number(0, UBYTE) == 1  # NormalizationOptions
    mean, std = (unit.union(1).floats(number) for number in (0, 1))
    pixels = np.array([[0, 0, 0], [255, 255, 255], [1, 128, 200]])
    ours = (pixels / 255 - np.array(IMAGES.mean)) / np.array(IMAGES.std)
    assert np.allclose((pixels - mean) / std, ours, rtol=0, atol=1e-6)
    stats = source.child(5)
    assert np.allclose([stats.floats(1), stats.floats(0)], ours[:2], rtol=0, atol=1e-6)


def test_a_wide_image_has_its_sides_in_the_right_order() -> None:
    content = describe((3, 20, 40), IMAGES)
    root = flatbuffers.encode.Get(flatbuffers.packer.uoffset, content, 0)
    (source,) = Fields(Table(content, root)).children(3)[0].children(2)
    size = source.child(3).union(1).child(1)
    assert (size.number(0, UINT), size.number(1, UINT)) == (40, 20)  # width, height


def test_the_output_names_a_file_of_labels_that_any_zip_reader_finds(model: bytes) -> None:
    (result,) = _metadata(model).children(3)[0].children(3)
    assert result.text(NAME) == "logits"
    (labels,) = result.children(6)
    assert labels.text(NAME) == "labels.txt"
    assert labels.number(2, BYTE) == 2  # TENSOR_AXIS_LABELS
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert archive.testzip() is None
        (entry,) = archive.infolist()
        assert entry.compress_type == zipfile.ZIP_STORED
        assert archive.read("labels.txt").decode().split("\n") == [*IMAGES.labels, ""]


def test_every_class_keeps_its_line_whatever_its_label_is() -> None:
    labels = ("a b", "", "two\nlines", " \t", "größer")
    lines = label_lines(labels).removesuffix("\n").split("\n")
    assert lines == ["a b", "class 1", "two lines", "class 3", "größer"]
    assert all(line.strip() for line in lines)


def test_the_texts_of_before_are_there_as_well(model: bytes) -> None:
    entries = _entries(model)
    assert entries["hwnas.arch"] == b"s0"
    assert entries.keys() >= {"labels", "image.mean", "image.std", "image.color", "image.scale"}


def test_a_part_for_timing_has_neither_metadata_nor_archive() -> None:
    for make in EMITTERS.values():
        model = make(None)
        assert "TFLITE_METADATA" not in _entries(model)
        assert not zipfile.is_zipfile(io.BytesIO(model))


def test_equal_arguments_give_equal_bytes_and_another_label_other_bytes() -> None:
    other = ImageInput(IMAGES.mean, IMAGES.std, (*IMAGES.labels[:-1], "another"))
    for make in EMITTERS.values():
        assert make(IMAGES) == make(IMAGES)
        assert make(other) != make(IMAGES)


@pytest.mark.parametrize("precision", EMITTERS)
def test_litert_verifies_the_file_and_computes_the_same_as_without(precision: str) -> None:
    bare, described = EMITTERS[precision](None), EMITTERS[precision](IMAGES)
    CompiledModel.from_buffer(described)
    values = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    assert np.array_equal(LiteRt(described).predict(values), LiteRt(bare).predict(values))
