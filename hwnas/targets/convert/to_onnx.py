"""torch module to ONNX by torch.onnx.export."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from hwnas.errors import MissingPackage
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    import torch
    from torch import nn

OPSET = 18
"""The lowest that torch's exporter writes without converting down."""


def to_onnx(module: nn.Module, example: torch.Tensor) -> bytes:
    """Return the serialised model: "input", shaped like the example, to "logits".

    Args:
        module: in evaluation mode.
        example: one input (1, C, H, W).

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
