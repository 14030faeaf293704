"""LiteRT, XNNPACK included, as something that runs and can be timed."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage, UserError
from hwnas.targets.shared.interface import Session, TensorSpec
from hwnas.targets.shared.quiet import STDERR, descriptor_silenced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PACKAGE = "ai-edge-litert"


class ChannelsLast(Session):
    """A loaded TFLite model: images are (1, H, W, C)."""

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, classes), or feature maps (n, C, H, W), of images (n, C, H, W)."""
        found = super().predict(images)
        return found.transpose(0, 3, 1, 2) if found.ndim == 4 else found

    def _laid_out(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


class LiteRt(ChannelsLast):
    """One loaded model."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        """Load a serialised model and run it once: a file that loads may still not run.

        Raises:
            MissingPackage: ai-edge-litert is not installed.
            UserError: it is no model, or none of one input and one output of fixed shape.
        """
        if not model:
            raise _unusable("it is empty")
        try:
            self._interpreter = load_interpreter(model, threads)
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
            super().__init__([*map(spec, inputs)], [*map(spec, outputs)])
            self._places = inputs[0]["index"], outputs[0]["index"]
            self._write_steady()
            self.run()
        except (RuntimeError, ValueError) as error:
            raise _unusable(str(error)) from None

    def run(self) -> None:
        """Run once on the input that was written last."""
        self._interpreter.invoke()

    def _write(self, stored: NDArray[Any]) -> None:
        values = stored.reshape(self.interface.input_shape)
        self._interpreter.set_tensor(self._places[0], values)

    def _read(self) -> NDArray[Any]:
        values: NDArray[Any] = self._interpreter.get_tensor(self._places[1])
        return values


def spec(tensor: Mapping[str, Any]) -> TensorSpec:
    """Return an input or output as an interpreter describes it.

    A batch that the file leaves open is 1, as interpreters take it unless they are told.
    """
    sizes = [int(size) for size in tensor["shape"]]
    declared = [int(size) for size in tensor.get("shape_signature", ())]
    if len(declared) == len(sizes):
        sizes[1:] = declared[1:]
    dtype = np.dtype(tensor["dtype"]).name
    return TensorSpec(tensor["name"], tuple(sizes), dtype, *tensor["quantization"])


def _unusable(reason: str) -> UserError:
    said = " ".join(reason.split()).rstrip(".")
    return UserError(
        f"LiteRT {version()} cannot run it ({said}): not a TFLite model, a truncated one, or one "
        "with operations beyond the built-in ones."
    )


def load_interpreter(model: bytes, threads: int = 1) -> Any:
    """Return LiteRT's interpreter of a serialised model, ready to run.

    Raises:
        MissingPackage: ai-edge-litert is not installed.
    """
    # The first model of a process announces XNNPACK in a line; failures come as exceptions.
    with descriptor_silenced(STDERR):
        interpreter = _import_interpreter()(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


def version() -> str:
    """Return LiteRT's version.

    Raises:
        MissingPackage: ai-edge-litert is not installed.
    """
    _import_interpreter()
    return importlib.metadata.version(PACKAGE)


def _import_interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingPackage('LiteRT is missing: pip install "hwnas[tflite]"') from None
    return Interpreter
