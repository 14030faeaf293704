"""LiteRT, XNNPACK included, as something that runs and can be timed."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage, UserError
from hwnas.measure import elapsed_ms
from hwnas.targets.shared.inputs import dequantised, quantised, steady_input
from hwnas.targets.shared.interface import TensorSpec, interface_of
from hwnas.targets.shared.quiet import STDERR, descriptor_silenced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PACKAGE = "ai-edge-litert"


class LiteRt:
    """One loaded model.

    The input is written once, so that `run` measures the network alone.
    """

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
            self.interface = interface_of([*map(spec, inputs)], [*map(spec, outputs)])
            self._source, self._result = inputs[0], outputs[0]
            self._feed(steady_input(self.interface.input_shape))
            self.run()
        except (RuntimeError, ValueError) as error:
            raise _unusable(str(error)) from None

    def run(self) -> None:
        """Run once on the input that was written last."""
        self._interpreter.invoke()

    def elapsed_ms(self) -> float:
        """Return the time of one run in milliseconds, right after an untimed one."""
        return elapsed_ms(self.run)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, classes) of normalised images (n, C, H, W).

        A part of a network returns its feature map (n, C, H, W).
        """
        rows = []
        for image in images:
            self._feed(np.ascontiguousarray(image.transpose(1, 2, 0))[None])
            self.run()
            rows.append(self._read())
        return channels_first(np.concatenate(rows))

    def respond(self, stored: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the output for an input, both as the file stores them."""
        self._interpreter.set_tensor(
            self._source["index"], stored.reshape(self.interface.input_shape)
        )
        self.run()
        values: NDArray[np.generic] = self._interpreter.get_tensor(self._result["index"])
        return values

    def _feed(self, values: NDArray[np.float32]) -> None:
        whole = np.issubdtype(self._source["dtype"], np.integer)
        scale, zero_point = self._source["quantization"]
        dtype = self.interface.input_dtype
        stored = quantised(values, scale, zero_point, dtype) if whole else values.astype(dtype)
        self._interpreter.set_tensor(self._source["index"], stored)

    def _read(self) -> NDArray[np.float32]:
        values = self._interpreter.get_tensor(self._result["index"])
        whole = np.issubdtype(values.dtype, np.integer)
        return dequantised(values, *self._result["quantization"]) if whole else values


def spec(tensor: Mapping[str, Any]) -> TensorSpec:
    """Return an input or output as an interpreter describes it.

    A batch that the file leaves open is 1, as interpreters take it unless they are told.
    """
    sizes = [int(size) for size in tensor["shape"]]
    declared = [int(size) for size in tensor.get("shape_signature", ())]
    if len(declared) == len(sizes):
        sizes[1:] = declared[1:]
    return TensorSpec(tensor["name"], tuple(sizes), np.dtype(tensor["dtype"]).name)


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


def channels_first(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return feature maps (n, H, W, C) as (n, C, H, W), and anything else as it is."""
    return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values


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
