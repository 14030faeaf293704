"""torch module to ONNX by torch.onnx.export, to 8 bits by ONNX Runtime's own quantiser."""
# ruff: noqa: ARG002, D102 - `Converter` says what each of these is for

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import MissingPackage
from hwnas.graph import file_metadata
from hwnas.targets.convert.converter import Converter
from hwnas.targets.onnx import file
from hwnas.targets.onnx.model import import_onnx
from hwnas.targets.onnx.runtime import import_onnxruntime
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from hwnas.graph import ImageInput, Shape
    from hwnas.targets.convert.converter import Texts

OPSET = 18
"""The lowest that torch's exporter writes without converting down."""


class OnnxConverter(Converter):
    """Files of "input" to "logits"; in 8 bits in the QDQ form: uint8, weights int8 by channel."""

    name = "torch.onnx.export"
    packages = ("torch", "onnxscript")
    quantiser = "onnxruntime.quantization"

    def convert(
        self, module: nn.Module, example: Tensor, images: ImageInput, about: Texts, precision: str
    ) -> Artifact:
        return Artifact.single(exported(module, example))

    def require_quantiser(self) -> None:
        import_onnx()
        import_onnxruntime()
        if importlib.util.find_spec("sympy") is None:
            raise MissingPackage(
                'onnxruntime\'s quantiser needs sympy: pip install "hwnas[convert]"'
            )

    def quantised(self, model: bytes, images: NDArray[np.float32]) -> bytes:
        self.require_quantiser()
        parsed = import_onnx().load_model_from_string(model)
        source = parsed.graph.input[0].name
        with quietly(self.quantiser, "8-bit ONNX"), tempfile.TemporaryDirectory() as folder:
            from onnxruntime import quantization as ort

            class Reader(ort.CalibrationDataReader):  # type: ignore[misc]  # its base has no types
                def __init__(self) -> None:
                    self._images = iter(images)

                def get_next(self) -> dict[str, NDArray[np.float32]] | None:
                    image = next(self._images, None)
                    return None if image is None else {source: image[None]}

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

    def described(
        self, artifact: Artifact, shape: Shape, images: ImageInput, about: Texts
    ) -> Artifact:
        return Artifact.single(file.described(artifact.content, file_metadata(images, about)))


def exported(module: nn.Module, example: torch.Tensor) -> bytes:
    """Return the serialised model: "input", shaped like the example, to "logits".

    Raises:
        MissingPackage: onnx or onnxscript is not installed.
        UserError: the converter does not take the module.
    """
    import torch

    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(f'torch.onnx.export needs {package}: pip install "hwnas[convert]"')
    with quietly("torch.onnx.export", "onnx"):
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
        assert program is not None  # noqa: S101 - without a file, it is returned
        model = program.model_proto
    _forget_traces(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def _forget_traces(model: Any) -> None:
    """Remove what the exporter keeps of each node: source lines, with paths on this machine."""
    graphs = [model.graph, *model.functions]
    for part in (*graphs, *(node for graph in graphs for node in graph.node)):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
