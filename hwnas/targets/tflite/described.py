"""Metadata for a TFLite file of another writer; the model itself stays as it is, byte for byte.

References in a flatbuffer lead forward only. So a new root table goes before the old file, and
points into it: to the operators, to every tensor's buffer, to all that was there. What is added are
two lists (buffers and metadata) and their new entries.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.graph import file_metadata
from hwnas.targets.tflite.flatbuffer import ALIGNMENT, FIELDS, Offset, Writer
from hwnas.targets.tflite.metadata import ENTRY, describe, with_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.graph import ImageInput, Shape

LENGTH_BYTES = 4
"""Of the count before the content of a vector."""
REFERENCE_BYTES = 4
VTABLE_HEADER_BYTES, SLOT_BYTES = 4, 2
MODEL_FIELDS = {name: slot for name, (slot, _) in FIELDS["Model"].items()}
NAME = 0
"""Slot of a metadata entry's name."""
PLACE_IN_FILE = 1
"""Slot of a buffer that counts from the file's first byte: it lies outside the flatbuffer."""


def described(
    model: bytes, input_shape: Shape, images: ImageInput, metadata: Mapping[str, str]
) -> bytes:
    """Return a TFLite file with the metadata and labels that hwnas's own files have.

    Args:
        model: a serialised model of one image (1, H, W, C).
        input_shape: (3, height, width).
        images: normalisation and labels.
        metadata: further texts by name.

    Raises:
        MissingPackage: flatbuffers is not installed.
        UserError: the file is of a kind whose content cannot be moved.
    """
    entries = {name: text.encode() for name, text in file_metadata(images, metadata).items()}
    entries[ENTRY] = describe(input_shape, images)
    return with_labels(with_entries(model, entries), images)


def with_entries(model: bytes, entries: Mapping[str, bytes]) -> bytes:
    """Return a TFLite file with metadata entries beside those that it has.

    Args:
        model: a serialised model; the result holds it unchanged.
        entries: contents by name; an entry that has such a name already is replaced.

    Raises:
        MissingPackage: flatbuffers is not installed.
        UserError: the file is of a kind whose content cannot be moved.
    """
    padded = model + bytes(-len(model) % ALIGNMENT)
    write = Writer(len(padded) + 2 * sum(map(len, entries.values())))
    old = _OldModel(model, write.data(padded) - LENGTH_BYTES)
    buffers, metadata = old.buffers(), old.metadata(without=entries)
    for name, content in entries.items():
        buffer = write.table("Buffer", data=write.data(content))
        metadata.append(write.table("Metadata", name=write.string(name), buffer=len(buffers)))
        buffers.append(buffer)
    lists = {"buffers": write.offsets(buffers), "metadata": write.offsets(metadata)}
    return write.finish(write.table("Model", **{**old.fields(), **lists}))


class _OldModel:
    """The root table of a file within a new one, as the new one counts: from its end."""

    def __init__(self, content: bytes, start: Offset) -> None:
        """Find the table.

        Args:
            content: the old file.
            start: of its first byte.

        Raises:
            UserError: it has fields that are not known here.
        """
        self._content, self._start = content, start
        self._root = self._number(0)
        vtable_bytes = VTABLE_HEADER_BYTES + SLOT_BYTES * len(MODEL_FIELDS)
        if self._read("<H", self._vtable(self._root)) > vtable_bytes:
            raise _immovable("it has fields of a later version of the format")

    def fields(self) -> dict[str, int]:
        """Return the value of its version, and where everything else lies."""
        places = {name: self._place(self._root, slot) for name, slot in MODEL_FIELDS.items()}
        return {
            name: self._number(place) if name == "version" else self._offset(self._target(place))
            for name, place in places.items()
            if place
        }

    def buffers(self) -> list[Offset]:
        """Return where its buffers lie.

        Raises:
            UserError: some are behind the flatbuffer, at a place that counts from the file's start.
        """
        found = self._elements("buffers")
        if any(self._place(buffer, PLACE_IN_FILE) for buffer in found):
            raise _immovable("its weights lie outside the flatbuffer")
        return [self._offset(buffer) for buffer in found]

    def metadata(self, without: Mapping[str, bytes]) -> list[Offset]:
        """Return where its metadata entries lie, but for those of some names."""
        return [
            self._offset(entry)
            for entry in self._elements("metadata")
            if self._text(self._target(self._place(entry, NAME))) not in without
        ]

    def _elements(self, name: str) -> list[int]:
        """Return the positions of a vector's tables in the old file."""
        place = self._place(self._root, MODEL_FIELDS[name])
        if not place:
            return []
        vector = self._target(place)
        first, count = vector + LENGTH_BYTES, self._number(vector)
        return [self._target(first + REFERENCE_BYTES * index) for index in range(count)]

    def _text(self, position: int) -> str:
        first = position + LENGTH_BYTES
        return self._content[first : first + self._number(position)].decode()

    def _place(self, table: int, slot: int) -> int:
        """Return the position of a table's field, or 0 where it is not given."""
        vtable, entry = self._vtable(table), VTABLE_HEADER_BYTES + SLOT_BYTES * slot
        given = entry < self._read("<H", vtable)
        field = self._read("<H", vtable + entry) if given else 0
        return table + field if field else 0

    def _vtable(self, table: int) -> int:
        return table - self._read("<i", table)

    def _target(self, place: int) -> int:
        """Return the position that a reference leads to."""
        return place + self._number(place)

    def _offset(self, position: int) -> Offset:
        return self._start - position

    def _number(self, position: int) -> int:
        return self._read("<I", position)

    def _read(self, kind: str, position: int) -> int:
        found: int = struct.unpack_from(kind, self._content, position)[0]
        return found


def _immovable(reason: str) -> UserError:
    return UserError(f"metadata cannot be added to this TFLite file: {reason}.")
