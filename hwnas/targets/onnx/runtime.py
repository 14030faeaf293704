"""ONNX Runtime's CPU provider as something that runs and can be timed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage, UserError
from hwnas.targets.shared.interface import Session, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}
FAILURES = (
    "EPFail",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NotImplemented",
    "RuntimeException",
)
"""What ONNX Runtime raises at a model: its exceptions have no base of their own."""


class OnnxRuntime(Session):
    """One loaded model.

    Input and output buffers are bound once, so that `run` measures the network and not the
    conversion of Python objects.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        """Load a serialised model and run it once: a file that loads may still not run.

        Raises:
            MissingPackage: onnxruntime is not installed.
            UserError: it is no model, or none of one input and one output of fixed shape.
        """
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # failures come as exceptions
        with _told_in_one_line(ort):
            self._session = ort.InferenceSession(
                model, sess_options=options, providers=["CPUExecutionProvider"]
            )
        sources, results = self._session.get_inputs(), self._session.get_outputs()
        super().__init__([*map(_spec, sources)], [*map(_spec, results)])
        self._bind()
        self._write_steady()
        with _told_in_one_line(ort):
            self.run()

    def _bind(self) -> None:
        face = self.interface
        self._input = np.zeros(face.input_shape, face.input_dtype)
        self._output = np.zeros(face.output_shape, face.output_dtype)
        self._binding = self._session.io_binding()
        self._binding.bind_cpu_input(self._source.name, self._input)
        place = (self._output.dtype, face.output_shape, self._output.ctypes.data)
        self._binding.bind_output(self._result.name, "cpu", 0, *place)

    def run(self) -> None:
        """Run once on the bound input."""
        self._session.run_with_iobinding(self._binding)

    def _write(self, stored: NDArray[Any]) -> None:
        np.copyto(self._input, stored.reshape(self._input.shape))

    def _read(self) -> NDArray[Any]:
        return self._output.copy()


def _spec(tensor: Any) -> TensorSpec:
    dtype = DTYPES.get(tensor.type, tensor.type.removeprefix("tensor(").removesuffix(")"))
    return TensorSpec(tensor.name, tuple(tensor.shape), dtype)


@contextmanager
def _told_in_one_line(ort: Any) -> Iterator[None]:
    state = ort.capi.onnxruntime_pybind11_state
    failures = (RuntimeError, *(getattr(state, name) for name in FAILURES))
    try:
        yield
    except failures as error:
        reason = str(error).partition(" : ")[2] or str(error)
        raise UserError(
            f"ONNX Runtime {ort.__version__} cannot run it ({reason.strip().rstrip('.')}): not an "
            "ONNX model, a truncated one, or one for a newer version."
        ) from None


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
