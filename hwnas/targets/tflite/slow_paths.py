"""Operators of a TFLite file that XNNPACK does not take, so that LiteRT's own kernels run them.

XNNPACK is what makes LiteRT fast on a CPU. What it takes depends on LiteRT's version, so the loaded
model is asked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hwnas.targets.tflite.runtime import load_interpreter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DELEGATE = "DELEGATE"
"""Name of the operator that a delegate puts in place of those that it took."""

CHANNELS_LAST = 3
"""Axis of the channels in values and in a convolution's weights."""

Operator: TypeAlias = "dict[str, Any]"
"""As LiteRT describes one: "index", "op_name", and the tensors of "inputs" and "outputs"."""


def slow_paths(model: bytes) -> list[str]:
    """Return one line per kind of operator that XNNPACK did not take, and nothing when it took all.

    Args:
        model: a TFLite file.

    Raises:
        MissingPackage: ai-edge-litert is not installed.
    """
    interpreter = load_interpreter(model)
    operators: list[Operator] = interpreter._get_ops_details()  # there is no public one
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    left = Counter(_described(each, tensors) for each in _left(operators))
    return [f"{count} x {what}: not taken by XNNPACK" for what, count in left.items()]


def _left(operators: Sequence[Operator]) -> list[Operator]:
    """Return the operators that no delegate replaced: they stay in the list beside the delegate's.

    A delegate replaced what lies between its inputs and its outputs.
    """
    delegates = [each for each in operators if each["op_name"] == DELEGATE]
    rest = [each for each in operators if each["op_name"] != DELEGATE]
    producer = {tensor: each for each in rest for tensor in map(int, each["outputs"])}
    taken: set[int] = set()
    for delegate in delegates:
        borders = set(map(int, delegate["inputs"]))
        taken |= _between(map(int, delegate["outputs"]), borders, producer)
    return [each for each in rest if each["index"] not in taken]


def _between(results: Iterable[int], borders: set[int], producer: dict[int, Operator]) -> set[int]:
    """Return the indices of all operators that lead from `borders` to `results`."""
    found: set[int] = set()
    waiting = list(results)
    while waiting:
        operator = producer.get(waiting.pop())
        if operator is None or operator["index"] in found:
            continue
        found.add(operator["index"])
        waiting += [tensor for tensor in map(int, operator["inputs"]) if tensor not in borders]
    return found


def _described(operator: Operator, tensors: dict[int, Any]) -> str:
    """Return kind, groups of a convolution, and type of the numbers that are read."""
    source, *others = (tensors[tensor] for tensor in map(int, operator["inputs"]) if tensor >= 0)
    features = [np.dtype(source["dtype"]).name]
    if operator["op_name"] == "CONV_2D":
        groups = source["shape"][CHANNELS_LAST] // others[0]["shape"][CHANNELS_LAST]
        if groups > 1:
            features.insert(0, f"groups {groups}")
    return f"{operator['op_name']} ({', '.join(features)})"
