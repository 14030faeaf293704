"""The tables of a TFLite file that hwnas writes, by the field numbers of TFLite's schema.

The schema is append-only: a field's number never changes. So these few tables hold for every
runtime, old or new, and writing them needs neither a runtime's own module nor its version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from hwnas.errors import MissingPackage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

Offset: TypeAlias = int
"""Where something that was written before lies."""

IDENTIFIER = b"TFL3"

ALIGNMENT = 16
"""Bytes; kernels may load constants with vector instructions."""

TABLES = {
    "Model": "version:uint operator_codes:offset subgraphs:offset description:offset "
    "buffers:offset metadata_buffer:offset metadata:offset signature_defs:offset "
    "external_buffer_groups:offset external_buffers:offset",
    "OperatorCode": "deprecated_builtin_code:byte custom_code:offset version:int builtin_code:int",
    "SubGraph": "tensors:offset inputs:offset outputs:offset operators:offset name:offset",
    "Tensor": "shape:offset type:byte buffer:uint name:offset quantization:offset",
    "QuantizationParameters": "min:offset max:offset scale:offset zero_point:offset "
    "details_type:ubyte details:offset quantized_dimension:int",
    "Operator": "opcode_index:uint inputs:offset outputs:offset builtin_options_type:ubyte "
    "builtin_options:offset",
    "Buffer": "data:offset",
    "Metadata": "name:offset buffer:uint",
    "SignatureDef": "inputs:offset outputs:offset signature_key:offset",
    "TensorMap": "name:offset tensor_index:uint",
    "Conv2DOptions": "padding:byte stride_w:int stride_h:int fused_activation_function:byte",
    "DepthwiseConv2DOptions": "padding:byte stride_w:int stride_h:int depth_multiplier:int "
    "fused_activation_function:byte",
    "AddOptions": "fused_activation_function:byte",
    "ConcatenationOptions": "axis:int",
    "DequantizeOptions": "",
    "FullyConnectedOptions": "fused_activation_function:byte",
    "HardSwishOptions": "",
    "MulOptions": "",
    "PadOptions": "",
    "PadV2Options": "",
    "Pool2DOptions": "padding:byte stride_w:int stride_h:int filter_width:int filter_height:int",
    "QuantizeOptions": "",
    "ReducerOptions": "keep_dims:bool",
    "ReshapeOptions": "new_shape:offset",
    "SliceOptions": "",
    "TransposeOptions": "",
}
"""Fields of each table in the schema's order, up to the last one that is written or copied."""

PREPEND = {
    "bool": "PrependBool",
    "byte": "PrependInt8",
    "ubyte": "PrependUint8",
    "int": "PrependInt32",
    "uint": "PrependUint32",
    "offset": "PrependUOffsetTRelative",
}
"""Type of a field to the method of flatbuffers' builder that writes it."""

Fields: TypeAlias = "Mapping[str, Mapping[str, tuple[int, str]]]"
"""Table to its fields: name to number and to the method of flatbuffers' builder."""


def fields_of(tables: Mapping[str, str]) -> Fields:
    """Return the fields of tables that are written down as in `TABLES`."""
    return {
        table: {
            name: (slot, PREPEND[kind])
            for slot, (name, kind) in enumerate(field.split(":") for field in fields.split())
        }
        for table, fields in tables.items()
    }


FIELDS = fields_of(TABLES)


class Writer:
    """Writes tables, vectors and strings, children before the tables that point to them."""

    def __init__(self, expected_bytes: int, fields: Fields = FIELDS) -> None:
        """Start an empty file.

        Args:
            expected_bytes: about its final size; a good guess saves copying.
            fields: of the schema's tables.

        Raises:
            MissingPackage: flatbuffers is not installed.
        """
        self._fields = fields
        self._builder = _import_flatbuffers().Builder(expected_bytes)

    def table(self, kind: str, **fields: Any) -> Offset:
        """Write a table of the schema; fields that are not given keep the schema's default."""
        builder, layout = self._builder, self._fields[kind]
        builder.StartObject(len(layout))
        for name, value in fields.items():
            slot, prepend = layout[name]
            getattr(builder, prepend)(value)
            builder.Slot(slot)
        offset: Offset = builder.EndObject()
        return offset

    def string(self, text: str) -> Offset:
        """Write a string."""
        offset: Offset = self._builder.CreateString(text)
        return offset

    def integers(self, values: Sequence[int]) -> Offset:
        """Write a vector of int32."""
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependInt32(value)
        offset: Offset = self._builder.EndVector()
        return offset

    def offsets(self, values: Sequence[Offset]) -> Offset:
        """Write a vector of tables."""
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependUOffsetTRelative(value)
        offset: Offset = self._builder.EndVector()
        return offset

    def numbers(self, values: NDArray[np.generic]) -> Offset:
        """Write a vector of numbers of the array's own type."""
        offset: Offset = self._builder.CreateNumpyVector(values)
        return offset

    def data(self, content: bytes) -> Offset:
        """Write a vector of bytes that starts at a multiple of `ALIGNMENT`."""
        self._builder.Prep(ALIGNMENT, len(content))
        offset: Offset = self._builder.CreateByteVector(content)
        return offset

    def finish(self, root: Offset, identifier: bytes = IDENTIFIER) -> bytes:
        """Return the file with its root table and the four letters that tell its schema."""
        self._builder.Finish(root, file_identifier=identifier)
        return bytes(self._builder.Output())


def _import_flatbuffers() -> Any:
    try:
        import flatbuffers
    except ImportError:
        raise MissingPackage(
            'the flatbuffers package is missing: pip install "hwnas[tflite]"'
        ) from None
    return flatbuffers
