"""Specification versions of Core ML models, the releases that brought them, and what needs one."""

from __future__ import annotations

from dataclasses import dataclass

IOS11, IOS11_2, IOS12, IOS13, IOS14, IOS15, IOS16, IOS17, IOS18, IOS26 = range(1, 11)
"""Specification version of each release."""

RELEASES = {
    IOS11: "11", IOS11_2: "11.2", IOS12: "12", IOS13: "13", IOS14: "14", IOS15: "15", IOS16: "16",
    IOS17: "17", IOS18: "18", IOS26: "26",
}  # fmt: skip
"""First release of each version, by name."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something in a model that needs at least `version`."""

    version: int
    what: str
