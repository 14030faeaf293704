"""ONNX Runtime's CPU provider as something that runs and can be timed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage
from hwnas.measure import elapsed_ms
from hwnas.targets.inputs import steady_input

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OnnxRuntime:
    """One loaded model.

    Input and output buffers are bound once, so that `run` measures the network and not the
    conversion of Python objects.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        """Load a serialised model.

        Raises:
            MissingPackage: onnxruntime is not installed.
        """
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            model, sess_options=options, providers=["CPUExecutionProvider"]
        )
        (source,) = self._session.get_inputs()
        (result,) = self._session.get_outputs()
        self._input = steady_input(source.shape)
        self._output = np.zeros(result.shape, np.float32)
        self._binding = self._session.io_binding()
        self._binding.bind_cpu_input(source.name, self._input)
        self._binding.bind_output(
            result.name, "cpu", 0, np.float32, self._output.shape, self._output.ctypes.data
        )

    def run(self) -> None:
        """Run once on the bound input."""
        self._session.run_with_iobinding(self._binding)

    def elapsed_ms(self) -> float:
        """Return the time of one run in milliseconds, right after an untimed one."""
        return elapsed_ms(self.run)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, classes) of normalised images (n, C, H, W)."""
        rows = []
        for image in images:
            np.copyto(self._input, image[None])
            self.run()
            rows.append(self._output.copy())
        return np.concatenate(rows)


def version() -> str:
    """Return ONNX Runtime's version.

    Raises:
        MissingPackage: onnxruntime is not installed.
    """
    return str(import_onnxruntime().__version__)


def import_onnxruntime() -> Any:
    """Return the module.

    Raises:
        MissingPackage: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingPackage('ONNX Runtime is missing: pip install "hwnas[onnx]"') from None
    return onnxruntime
