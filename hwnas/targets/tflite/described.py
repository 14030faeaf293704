"""Metadata for a TFLite file of another writer; the model itself stays as it is, byte for byte.

References in a flatbuffer lead forward only. So a new root table goes before the old file, and
points into it: to the operators, to every tensor's buffer, to all that was there. What is added are
two lists (buffers and metadata) and their new entries.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

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
        from flatbuffers import number_types
        from flatbuffers.table import Table

        self._table, self._start = partial(Table, content), start
        self._root = root = Table(content, Table(content, 0).Indirect(0))
        self._version: int = root.GetSlot(
            _slot(MODEL_FIELDS["version"]), 0, number_types.Uint32Flags
        )
        vtable = root.Pos - root.Get(number_types.SOffsetTFlags, root.Pos)
        if root.Get(number_types.VOffsetTFlags, vtable) > _slot(len(MODEL_FIELDS)):
            raise _immovable("it has fields of a later version of the format")

    def fields(self) -> dict[str, int]:
        """Return the value of its version, and where everything else lies."""
        places = {name: self._root.Offset(_slot(slot)) for name, slot in MODEL_FIELDS.items()}
        found = {
            name: self._start - self._root.Indirect(self._root.Pos + place)
            for name, place in places.items()
            if place and name != "version"
        }
        return {"version": self._version, **found}

    def buffers(self) -> list[Offset]:
        """Return where its buffers lie.

        Raises:
            UserError: some are behind the flatbuffer, at a place that counts from the file's start.
        """
        found = self._elements("buffers")
        if any(buffer.Offset(_slot(PLACE_IN_FILE)) for buffer in found):
            raise _immovable("its weights lie outside the flatbuffer")
        return [self._start - buffer.Pos for buffer in found]

    def metadata(self, without: Mapping[str, bytes]) -> list[Offset]:
        """Return where its metadata entries lie, but for those of some names."""
        return [
            self._start - entry.Pos
            for entry in self._elements("metadata")
            if entry.String(entry.Pos + entry.Offset(_slot(NAME))).decode() not in without
        ]

    def _elements(self, name: str) -> list[Any]:
        """Return the tables of a vector in the old file."""
        place = self._root.Offset(_slot(MODEL_FIELDS[name]))
        if not place:
            return []
        first, count = self._root.Vector(place), self._root.VectorLen(place)
        places = range(first, first + REFERENCE_BYTES * count, REFERENCE_BYTES)
        return [self._table(self._root.Indirect(each)) for each in places]


def _slot(number: int) -> int:
    """Return where a table's vtable says where a field lies."""
    return VTABLE_HEADER_BYTES + SLOT_BYTES * number


def _immovable(reason: str) -> UserError:
    return UserError(f"metadata cannot be added to this TFLite file: {reason}.")
