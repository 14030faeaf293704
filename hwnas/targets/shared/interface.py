"""What goes into a model file and what comes out: one tensor each, of a fixed shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES = ("float32", "float16", "int8", "uint8")
"""Numbers that a session feeds and reads."""
COLORS = 3


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output as the file declares it.

    Attributes:
        name: in the file.
        shape: sizes; a text or None where the file leaves one open.
        dtype: as numpy calls it.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Interface:
    """The input and the output of a model.

    Attributes:
        input_shape: one image at a time, or whatever the file takes.
        output_shape: the same for what it gives.
        input_dtype: one of `TYPES`.
        output_dtype: one of `TYPES`.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    input_dtype: str
    output_dtype: str

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) if the input is one colour image, channels first or last, else None."""
        match self.input_shape:
            case (1, channels, height, width) if channels == COLORS:
                return height, width
            case (1, height, width, channels) if channels == COLORS:
                return height, width
            case _:
                return None

    @property
    def classes(self) -> int | None:
        """How many numbers an image gives, if it is one vector."""
        sizes = [size for size in self.output_shape if size != 1]
        return sizes[0] if len(sizes) == 1 else None


def interface_of(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Interface:
    """Return the interface of a model that a session can feed.

    Raises:
        UserError: several inputs or outputs, a size that is left open, or another type of number.
    """
    source, result = _only(inputs, "input"), _only(outputs, "output")
    shapes = _fixed(source, "input"), _fixed(result, "output")
    if len(shapes[0]) == 4 and shapes[0][0] != 1:
        raise UserError(
            f"the model takes {shapes[0][0]} images at a time, and latency is that of one. Export "
            "it again with a batch of 1."
        )
    return Interface(*shapes, source.dtype, result.dtype)


def _only(tensors: Sequence[TensorSpec], role: str) -> TensorSpec:
    if len(tensors) != 1:
        names = ", ".join(tensor.name for tensor in tensors) or "none"
        raise UserError(
            f"the model has {len(tensors)} {role}s ({names}): only models of one image input and "
            "one output can be timed."
        )
    (tensor,) = tensors
    if tensor.dtype not in TYPES:
        raise UserError(
            f"the model's {role} {tensor.name!r} holds {tensor.dtype}, not one of "
            f"{', '.join(TYPES)}: only models of images can be timed."
        )
    return tensor


def _fixed(tensor: TensorSpec, role: str) -> tuple[int, ...]:
    sizes = tuple(size for size in tensor.shape if isinstance(size, int) and size > 0)
    if len(sizes) != len(tensor.shape):
        shape = "x".join("?" if size in (None, -1) else str(size) for size in tensor.shape)
        raise UserError(
            f"the model's {role} {tensor.name!r} has no fixed shape ({shape}): export it again "
            "with fixed sizes and a batch of 1."
        )
    return sizes
