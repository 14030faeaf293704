"""A TFLite model in the making: tensors and operators in, a file out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.targets.tflite.flatbuffer import Offset, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SCHEMA_VERSION = 3
SIGNATURE = "serving_default"

OPERATORS = {
    "ADD": (0, 11, "AddOptions"),
    "CONCATENATION": (2, 10, "ConcatenationOptions"),
    "DEQUANTIZE": (6, 38, "DequantizeOptions"),
    "CONV_2D": (3, 1, "Conv2DOptions"),
    "DEPTHWISE_CONV_2D": (4, 2, "DepthwiseConv2DOptions"),
    "FULLY_CONNECTED": (9, 8, "FullyConnectedOptions"),
    "HARD_SWISH": (117, 91, "HardSwishOptions"),
    "MAX_POOL_2D": (17, 5, "Pool2DOptions"),
    "MEAN": (40, 27, "ReducerOptions"),
    "MUL": (18, 21, "MulOptions"),
    "PAD": (34, 22, "PadOptions"),
    "PADV2": (60, 43, "PadV2Options"),
    "QUANTIZE": (114, 89, "QuantizeOptions"),
    "RESHAPE": (22, 17, "ReshapeOptions"),
    "SLICE": (65, 48, "SliceOptions"),
    "TRANSPOSE": (39, 26, "TransposeOptions"),
}
"""Operator to its number in the schema, and to number and table of its options."""

TENSOR_TYPES = {
    np.dtype(np.float32): 0,
    np.dtype(np.float16): 1,
    np.dtype(np.int32): 2,
    np.dtype(np.uint8): 3,
    np.dtype(np.int8): 9,
}

Tensor = int
"""Place of a tensor in the list of tensors."""


@dataclass(frozen=True, slots=True)
class Scales:
    """How a tensor stores real values: scale * (integer - zero_point).

    Attributes:
        scales: float32, one for all or one per slice.
        zero_point: the same for all.
        axis: which the slices are counted along.
    """

    scales: NDArray[np.float32]
    zero_point: int = 0
    axis: int = 0


class Model:
    """Collects tensors and operators in order of execution."""

    def __init__(self, expected_bytes: int) -> None:
        """Start an empty model.

        Args:
            expected_bytes: about the size of the file; a good guess saves copying.

        Raises:
            MissingPackage: flatbuffers is not installed.
        """
        self._write = Writer(expected_bytes)
        self._tensors: list[Offset] = []
        self._buffers: list[Offset] = [self._write.table("Buffer")]
        self._operators: list[Offset] = []
        self._codes: dict[tuple[int, int], int] = {}
        # Eight bytes per channel of a weight and its bias, which are equal. Shared no further, so
        # that the size of a file stays the sum of its parts'.
        self._zero_points: dict[tuple[int, int], Offset] = {}

    def value(
        self,
        name: str,
        shape: Sequence[int],
        scales: Scales | None = None,
        stored: type[np.integer] = np.int8,
    ) -> Tensor:
        """Add a tensor that is computed or given: `stored` if it has scales, else float32."""
        dtype = np.dtype(stored if scales else np.float32)
        return self._tensor(name, shape, dtype, 0, scales)

    def constant(self, name: str, value: NDArray[Any], scales: Scales | None = None) -> Tensor:
        """Add a tensor with its content: float32, float16, int32 or int8."""
        buffer = self._buffer(value.tobytes())
        return self._tensor(name, value.shape, value.dtype, buffer, scales)

    def integers(self, values: Sequence[int]) -> Offset:
        """Write integers that an operator's option points to."""
        return self._write.integers(values)

    def operator(
        self, kind: str, sources: Sequence[Tensor], result: Tensor, version: int = 1, **options: Any
    ) -> None:
        """Add an operator.

        Args:
            kind: one of `OPERATORS`.
            sources: what it reads.
            result: what it writes.
            version: of the operator, as TFLite counts them.
            options: fields of its table of options.
        """
        number, options_number, options_table = OPERATORS[kind]
        fields = {
            "opcode_index": self._codes.setdefault((number, version), len(self._codes)),
            "inputs": self._write.integers(sources),
            "outputs": self._write.integers([result]),
            "builtin_options_type": options_number,
            "builtin_options": self._write.table(options_table, **options),
        }
        self._zero_points.clear()
        self._operators.append(self._write.table("Operator", **fields))

    def finish(
        self,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
        metadata: Mapping[str, bytes],
    ) -> bytes:
        """Return the file.

        Args:
            inputs: tensors by the names that the signature gives them.
            outputs: the same.
            metadata: contents by name.
        """
        write = self._write
        entries = [self._metadata(name, content) for name, content in metadata.items()]
        codes = [self._code(*code) for code in self._codes]
        fields = {
            "version": SCHEMA_VERSION,
            "operator_codes": write.offsets(codes),
            "subgraphs": write.offsets([self._subgraph(inputs, outputs)]),
            "description": write.string("hwnas"),
            "buffers": write.offsets(self._buffers),
            "metadata": write.offsets(entries),
            "signature_defs": write.offsets([self._signature(inputs, outputs)]),
        }
        return write.finish(write.table("Model", **fields))

    def _tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        buffer: int,
        scales: Scales | None,
    ) -> Tensor:
        fields = {
            "shape": self._write.integers(shape),
            "type": TENSOR_TYPES[dtype],
            "buffer": buffer,
            "name": self._write.string(name),
        }
        if scales:
            fields["quantization"] = self._quantisation(scales)
        self._tensors.append(self._write.table("Tensor", **fields))
        return len(self._tensors) - 1

    def _quantisation(self, scales: Scales) -> Offset:
        write, key = self._write, (len(scales.scales), scales.zero_point)
        if key not in self._zero_points:
            self._zero_points[key] = write.numbers(np.full(*key, np.int64))
        fields = {
            "scale": write.numbers(scales.scales),
            "zero_point": self._zero_points[key],
            "quantized_dimension": scales.axis,
        }
        return write.table("QuantizationParameters", **fields)

    def _buffer(self, content: bytes) -> int:
        data = self._write.data(content)
        self._buffers.append(self._write.table("Buffer", data=data))
        return len(self._buffers) - 1

    def _code(self, number: int, version: int) -> Offset:
        return self._write.table(
            "OperatorCode", deprecated_builtin_code=number, version=version, builtin_code=number
        )

    def _metadata(self, name: str, content: bytes) -> Offset:
        buffer = self._buffer(content)
        return self._write.table("Metadata", name=self._write.string(name), buffer=buffer)

    def _subgraph(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Offset:
        write = self._write
        fields = {
            "tensors": write.offsets(self._tensors),
            "inputs": write.integers(list(inputs.values())),
            "outputs": write.integers(list(outputs.values())),
            "operators": write.offsets(self._operators),
            "name": write.string("main"),
        }
        return write.table("SubGraph", **fields)

    def _signature(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Offset:
        fields = {
            "inputs": self._named(inputs),
            "outputs": self._named(outputs),
            "signature_key": self._write.string(SIGNATURE),
        }
        return self._write.table("SignatureDef", **fields)

    def _named(self, tensors: Mapping[str, Tensor]) -> Offset:
        write = self._write
        return write.offsets(
            [
                write.table("TensorMap", name=write.string(name), tensor_index=tensor)
                for name, tensor in tensors.items()
            ]
        )
