"""LiteRT, XNNPACK included, as something that runs and can be timed."""

from __future__ import annotations

import importlib.metadata
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage
from hwnas.measure import elapsed_ms
from hwnas.targets.inputs import steady_input

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PACKAGE = "ai-edge-litert"


class LiteRt:
    """One loaded model.

    The input is written once, so that `run` measures the network alone.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        """Load a serialised model.

        Raises:
            MissingPackage: ai-edge-litert is not installed.
        """
        self._interpreter = load_interpreter(model, threads)
        (source,) = self._interpreter.get_input_details()
        (result,) = self._interpreter.get_output_details()
        self._source, self._result = source, result
        self._feed(steady_input(source["shape"]))

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

    def _feed(self, values: NDArray[np.float32]) -> None:
        whole = self._source["dtype"] == np.int8
        stored = quantised(values, *self._source["quantization"]) if whole else values
        self._interpreter.set_tensor(self._source["index"], stored)

    def _read(self) -> NDArray[np.float32]:
        values = self._interpreter.get_tensor(self._result["index"])
        scale, zero_point = self._result["quantization"]
        return dequantised(values, scale, zero_point) if values.dtype == np.int8 else values


def load_interpreter(model: bytes, threads: int = 1) -> Any:
    """Return LiteRT's interpreter of a serialised model, ready to run.

    Raises:
        MissingPackage: ai-edge-litert is not installed.
    """
    with _without_notice():
        interpreter = _import_interpreter()(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


def channels_first(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return feature maps (n, H, W, C) as (n, C, H, W), and anything else as it is."""
    return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values


def quantised(values: NDArray[np.float32], scale: float, zero_point: int) -> NDArray[np.int8]:
    """Return real values as the int8 of an input tensor."""
    whole: NDArray[np.int8] = np.clip(np.rint(values / scale) + zero_point, -128, 127).astype("i1")
    return whole


def dequantised(values: NDArray[np.int8], scale: float, zero_point: int) -> NDArray[np.float32]:
    """Return the real values of an int8 output tensor."""
    real: NDArray[np.float32] = (values.astype(np.float32) - zero_point) * np.float32(scale)
    return real


@contextmanager
def _without_notice() -> Iterator[None]:
    """Keep the line with which the first model of a process announces XNNPACK off the terminal.

    The library writes it to the file descriptor itself. Failures come as exceptions.
    """
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


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
