"""What goes into a model file and what comes out: one tensor each, of a fixed shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import UserError
from hwnas.measure import elapsed_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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
        scale: of integers, which stand for scale * (integer - zero_point); zero where the file
            gives none: the integers are the values.
        zero_point: of integers.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def stored(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Return real values as the file stores them."""
        if not np.issubdtype(self.dtype, np.integer):
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        whole = np.rint(values / (self.scale or 1.0)) + self.zero_point
        stored: NDArray[Any] = np.clip(whole, limits.min, limits.max).astype(self.dtype)
        return stored

    def real(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Return the real values of what the file stores."""
        if not np.issubdtype(self.dtype, np.integer):
            return stored
        scale = np.float32(self.scale or 1.0)
        real: NDArray[np.float32] = (stored.astype(np.float32) - self.zero_point) * scale
        return real


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


class Session(ABC):
    """A loaded model that runs here: the input is written once, so that `run` is the network alone.

    Attributes:
        interface: of the file.
    """

    def __init__(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Take what the file declares; raises UserError as `interface_of`."""
        self.interface = interface_of(inputs, outputs)
        self._source, self._result = inputs[0], outputs[0]

    @abstractmethod
    def run(self) -> None:
        """Run once on the input that was written last."""

    def elapsed_ms(self) -> float:
        """Return the time of one run in milliseconds, right after an untimed one."""
        return elapsed_ms(self.run)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, classes) of normalised images (n, C, H, W).

        A part of a network returns its feature map (n, C, H, W).
        """
        rows = [self.respond(self._source.stored(each[None])) for each in self._laid_out(images)]
        return self._result.real(np.concatenate(rows))

    def respond(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the output for an input, both as the file stores them: its order, its type."""
        self._write(stored)
        self.run()
        return self._read()

    def _laid_out(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return images (n, C, H, W) with their axes in the file's order."""
        return images

    def _write_steady(self) -> None:
        """Write the input that networks are timed on."""
        self._write(self._source.stored(steady_input(self.interface.input_shape)))

    @abstractmethod
    def _write(self, stored: NDArray[Any]) -> None:
        """Write the input."""

    @abstractmethod
    def _read(self) -> NDArray[Any]:
        """Return the output of the last run."""


def steady_input(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return |N(0, 1)| values, always the same: about what batch norm and ReLU6 leave.

    Networks and their parts are timed on them, and calibrated where nothing else is known.
    """
    values: NDArray[np.float32] = np.abs(np.random.default_rng(0).standard_normal(shape)).astype(
        "f4"
    )
    return values


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
