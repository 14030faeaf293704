"""Which specification version an ML Program needs, from the operations that are in it.

When an operation came, and which of its parameters came later, is read from coremltools' own
definitions of each opset. What those do not know counts as of the latest release.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from hwnas.targets.apple import require
from hwnas.targets.apple.releases import IOS15, IOS16, IOS17, IOS18, IOS26, Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator

OPSETS = {"CoreML5": IOS15, "CoreML6": IOS16, "CoreML7": IOS17, "CoreML8": IOS18}
"""Version of each set of operations that a function may name."""

TYPES = {
    **dict.fromkeys(("BOOL", "STRING", "FLOAT16", "FLOAT32", "INT32", "INT64"), IOS15),
    "UINT32": IOS16,
    **dict.fromkeys(("INT8", "UINT8", "INT16", "UINT16"), IOS17),
    **dict.fromkeys(("INT4", "UINT4", "UINT6", "UINT3", "UINT2", "UINT1"), IOS18),
}
"""Versions of the types of values; iOS 16 holds 8 bits within constexpr operations only."""


def requirements(program: Any) -> Iterator[Requirement]:
    """Yield what an ML Program (protobuf) needs, in the order of the file; iOS 15 at least."""
    yield Requirement(IOS15, "an ML Program")
    for function in program.functions.values():
        for name, block in function.block_specializations.items():
            version = OPSETS.get(name, IOS26)
            if version > IOS15:
                yield Requirement(version, f"operation set {name}")
            yield from _of_block(block)


def _of_block(block: Any) -> Iterator[Requirement]:
    for operation in block.operations:
        yield from _of_operation(operation)
        yield from _of_types(operation)
        for inner in operation.blocks:
            yield from _of_block(inner)


def _of_operation(operation: Any) -> Iterator[Requirement]:
    known = _definitions().get(operation.type, {})
    if not known:
        yield Requirement(IOS26, f"unknown operation {operation.type}")
        return
    first = min(known)
    if first > IOS15:
        yield Requirement(first, f"operation {operation.type}")
    given = (set(operation.inputs) | set(operation.attributes)) - {"name"}
    for name in sorted(given - known[first]):
        later = [version for version in sorted(known) if name in known[version]]
        yield Requirement(later[0] if later else IOS26, f"{name} of operation {operation.type}")


def _of_types(operation: Any) -> Iterator[Requirement]:
    for output in operation.outputs:
        if output.type.WhichOneof("type") == "tensorType":
            tensor = output.type.tensorType
            kind = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type
            name = kind.values_by_number[tensor.dataType].name
            version = TYPES.get(name, IOS26)
            if version > IOS15:
                yield Requirement(version, f"{name.lower()} value of {operation.type}")


@functools.cache
def _definitions() -> dict[str, dict[int, frozenset[str]]]:
    """Return the names of parameters by operation and version, iOS 15 and later."""
    registry = require("converters.mil.mil.ops.registry").SSAOpRegistry
    require("converters.mil")  # fills it
    return {
        kind: {
            max(release.value, IOS15): frozenset(definition.input_spec.input_types)
            for release, definition in sorted(by_release.items(), key=lambda each: each[0].value)
        }
        for kind, by_release in registry.core_ops.items()
    }
