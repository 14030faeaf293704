"""ONNX in float32 to 8 bits by ONNX Runtime's own quantiser, for models that no graph describes."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import MissingPackage
from hwnas.targets.onnx.model import import_onnx
from hwnas.targets.onnx.runtime import import_onnxruntime
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

QUANTISER = "onnxruntime.quantization"


def quantised(model: bytes, images: NDArray[np.float32]) -> bytes:
    """Return the model in the QDQ form: values as uint8, weights as int8 by channel.

    Args:
        model: a serialised model in float32 of one input (1, C, H, W).
        images: normalised inputs (n, C, H, W) like those of use; their extremes set the scales.

    Raises:
        MissingPackage: onnx, onnxruntime or sympy is not installed.
        UserError: the quantiser does not take the model.
    """
    require()
    parsed = import_onnx().load_model_from_string(model)
    source = parsed.graph.input[0].name
    with quietly(QUANTISER, "8-bit ONNX"), tempfile.TemporaryDirectory() as folder:
        from onnxruntime import quantization as ort

        class Reader(ort.CalibrationDataReader):  # type: ignore[misc]  # its base has no types
            def __init__(self) -> None:
                self._images = _fed(source, images)

            def get_next(self) -> dict[str, NDArray[np.float32]] | None:
                return next(self._images, None)

        prepared, result = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        ort.quant_pre_process(parsed, prepared)
        ort.quantize_static(
            prepared,
            result,
            Reader(),
            quant_format=ort.QuantFormat.QDQ,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            per_channel=True,
        )
        return result.read_bytes()


def require() -> None:
    """Raise MissingPackage unless onnx, onnxruntime and sympy are installed."""
    import_onnx()
    import_onnxruntime()
    if importlib.util.find_spec("sympy") is None:
        raise MissingPackage('onnxruntime\'s quantiser needs sympy: pip install "hwnas[convert]"')


def _fed(source: str, images: NDArray[np.float32]) -> Iterator[dict[str, NDArray[np.float32]]]:
    return ({source: image[None]} for image in images)
