"""An ONNX model in the making: nodes and constants in, a file out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingPackage
from hwnas.graph import INPUT
from hwnas.targets.shared.half import half

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights

OPSET = 13
"""Old enough for every runtime in use, new enough for Clip with its bounds as inputs and for
quantisation by channel."""

IR_VERSION = 8

OUTPUT = "logits"


class Model:
    """Collects nodes in order of execution, and constants by name."""

    def __init__(self, *, half_weights: bool = False) -> None:
        """Start an empty model.

        Args:
            half_weights: store weights in float16. A Cast gives them back in float32, which
                runtimes do once, when they load the file.

        Raises:
            MissingPackage: onnx is not installed.
        """
        self._half_weights = half_weights
        self._onnx = import_onnx()
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; return its output's name."""
        name = f"{output}/{kind}"
        make_node = self._onnx.helper.make_node
        self._nodes.append(make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """Add a constant unless there is one of this name; return the name."""
        if name not in self._constants:
            make_tensor = self._onnx.numpy_helper.from_array
            self._constants[name] = make_tensor(np.asarray(value), name)
        return name

    def weight_and_bias(self, name: str, weights: Weights) -> tuple[str, str]:
        """Add both; return the names of their float32 values."""
        weight, bias = weights[name]
        return self._weight(f"{name}.weight", weight), self._weight(f"{name}.bias", bias)

    def _weight(self, name: str, value: NDArray[np.float32]) -> str:
        if not self._half_weights:
            return self.constant(name, value)
        stored = self.constant(f"{name}.half", half(value, name))
        return self.node("Cast", [stored], name, to=int(self._onnx.TensorProto.FLOAT))

    def finish(self, graph: Graph, metadata: Mapping[str, str]) -> bytes:
        """Return the file: float32 (1, C, H, W) "input" to float32 "logits".

        Args:
            graph: for the shapes of input and output.
            metadata: texts by name.
        """
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        source = helper.make_tensor_value_info(INPUT, float32, [1, *graph.input_shape])
        result = helper.make_tensor_value_info(OUTPUT, float32, [1, *graph.output.shape])
        constants = list(self._constants.values())
        model = helper.make_model(
            helper.make_graph(self._nodes, "hwnas", [source], [result], constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="hwnas",
        )
        helper.set_model_props(model, dict(metadata))
        serialised: bytes = model.SerializeToString()
        return serialised


def import_onnx() -> Any:
    """Return the module with its helpers.

    Raises:
        MissingPackage: onnx is not installed.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingPackage('the onnx package is missing: pip install "hwnas[onnx]"') from None
    return onnx
