"""What both documents between hwnas and a device are made of.

Whatever a device says is checked before anything else reads it: unknown fields, wrong types,
numbers that are not finite or not possible, and lists and texts beyond their limits are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

LONGEST_MS = 3_600_000.0
"""No run takes an hour."""

Text: TypeAlias = Annotated[str, Field(max_length=200)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000)]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Milliseconds: TypeAlias = Annotated[float, Field(gt=0, le=LONGEST_MS, allow_inf_nan=False)]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Seconds: TypeAlias = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e12)]
Sample: TypeAlias = tuple[Name, Milliseconds]
Samples: TypeAlias = Annotated[list[Sample], Field(max_length=2_000)]


class Record(BaseModel):
    """Immutable, and with nothing in it that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


def difference(before: Record, now: Record) -> tuple[str, Any, Any] | None:
    """Return the first field in which two records of a kind differ, and both values of it."""
    old, new = before.model_dump(), now.model_dump()
    changed = ((name, value, new[name]) for name, value in old.items() if new[name] != value)
    return next(changed, None)
