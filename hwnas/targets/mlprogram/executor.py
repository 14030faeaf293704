"""An executor of ML Programs: Core ML itself runs on Apple devices only.

It reads the package by Apple's own reader (coremltools) and knows nothing of the graph that it was
written from, so that it is a check on what wrote it. Every operation is computed in float64; where
the program declares its result as float16, that is rounded: one rounding per operation. What it
does not interpret is an error.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hwnas.errors import HwnasError, UserError
from hwnas.targets.apple import classifier, require
from hwnas.targets.mlprogram.garbage import young_garbage_only
from hwnas.targets.mlprogram.operations import OPERATIONS, Inputs, unknown
from hwnas.targets.mlprogram.package import MODEL
from hwnas.targets.shared.compute import one_thread
from hwnas.targets.shared.half import rounded

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.targets.shared.artifact import Artifact

LATEST = 10
"""Specification version up to which programs are read."""

CLASSIFY = "classify"


def probabilities(package: Artifact, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities of RGB images (n, height, width, 3) as (n, classes).

    The program takes one image at a time, so that is how they are run.

    Raises:
        UserError: the images do not have the size that the model states.
        HwnasError: the model is no classifier, or holds something that is not interpreted.
    """
    spec, function = _loaded(package)
    if all(operation.op_type != CLASSIFY for operation in function.operations):
        raise HwnasError("expected a Core ML classifier, but the program does not classify")
    pixels = torch.from_numpy(classifier.pixels_of(spec, images).astype(np.float64))
    constants = _constants(function)
    with one_thread(), torch.inference_mode():
        rows = [_run(function, constants, each[None]).reshape(1, -1).numpy() for each in pixels]
    return np.concatenate(rows, dtype=np.float32)


@young_garbage_only()
def run(package: Artifact, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return a program's first output, or the probabilities of a classifier.

    Args:
        package: a program of one input.
        values: of the input's declared shape.

    Raises:
        UserError: the values do not have that shape.
        HwnasError: the program holds something that is not interpreted.
    """
    _, function = _loaded(package)
    (source,) = function.inputs.values()
    if values.shape != tuple(source.shape):
        raise UserError(f"the program reads {tuple(source.shape)}, but got {values.shape}")
    with one_thread(), torch.inference_mode():
        given = torch.from_numpy(np.array(values, np.float64))
        return _run(function, _constants(function), given).numpy().astype(np.float32)


def _loaded(package: Artifact) -> tuple[Any, Any]:
    """Return the specification and the main function of the program."""
    spec = require("proto.Model_pb2").Model.FromString(package.files[MODEL])
    if spec.WhichOneof("Type") != "mlProgram":
        raise unknown(f"models of type {spec.WhichOneof('Type')}")
    load = require("converters.mil.frontend.milproto.load").load
    with tempfile.TemporaryDirectory() as folder:
        for name, content in package.files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        weights = Path(folder) / Path(MODEL).parent / "weights"
        program = load(spec, max(LATEST, spec.specificationVersion), str(weights))
    return spec, program.functions["main"]


def _constants(function: Any) -> dict[str, Any]:
    """Return the values of constants by name, arrays as float64 tensors."""
    return {
        result.name: _value(result.val)
        for operation in function.operations
        if operation.op_type == "const"
        for result in operation.outputs
    }


def _value(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return torch.from_numpy(value.astype(np.float64))
    return value


def _run(function: Any, constants: dict[str, Any], given: Tensor) -> Tensor:
    """Return the first output, or what is classified."""
    (source,) = function.inputs.values()
    known = {**constants, source.name: _as_declared(given, source)}
    for operation in function.operations:
        kind = operation.op_type
        if kind == "const":
            continue
        inputs = _inputs(operation, known)
        if kind == CLASSIFY:
            return inputs["probabilities"]  # type: ignore[no-any-return]
        if kind not in OPERATIONS:
            raise unknown(f"operation {operation.name!r} of type {kind}")
        results = OPERATIONS[kind](inputs)
        if inputs.unread:
            raise unknown(f"{', '.join(sorted(inputs.unread))} of {operation.name!r}, a {kind}")
        listed = list(results) if isinstance(results, tuple) else [results]
        for declared, value in zip(operation.outputs, listed, strict=True):
            known[declared.name] = _as_declared(value, declared)
    return known[function.outputs[0].name]  # type: ignore[no-any-return]


def _inputs(operation: Any, known: dict[str, Any]) -> Inputs:
    """Return the values of an operation's inputs by their names in MIL."""
    return Inputs(
        {
            name: [known[each.name] for each in given]
            if isinstance(given, (tuple, list))
            else known[given.name]
            for name, given in operation.inputs.items()
            if given is not None
        }
    )


def _as_declared(value: Tensor, declared: Any) -> Tensor:
    """Round to the declared type, and hold the declared shape against the computed one."""
    shape, kind = tuple(declared.shape), declared.dtype.__name__
    if tuple(value.shape) != shape:
        raise HwnasError(f"{declared.name} is declared {shape}, but computes {tuple(value.shape)}")
    if kind == "fp16":
        return rounded(value)
    if kind == "fp32":
        return value  # float64 tells the file's error from that of a runtime
    raise unknown(f"{declared.name} of type {kind}")
