"""Which device may serve a profile: one, as it was when it began, with the right runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.agent.wire import Refused
from hwnas.bundle.fields import difference

if TYPE_CHECKING:
    from hwnas.agent.wire import Hello

SERVES = {"tflite": ("tflite", "tflite-runtime")}
"""Runtimes that a target may be timed with; the table tells which it was."""


def require_fit(hello: Hello, wanted: str, paired: Hello | None) -> None:
    """Pass a device that may have the session.

    Args:
        hello: what it says of itself.
        wanted: the target's runtime.
        paired: the device that has the session.

    Raises:
        Refused: it has another runtime, another device has the session, or it is the same device
            and something that its times depend on has changed.
    """
    has = hello.runtime.name
    if has not in SERVES.get(wanted, (wanted,)):
        raise Refused(409, "runtime", f"this profile is of {wanted}, and the device has {has}")
    if paired is None:
        return
    require_paired(hello.device_id, paired)
    changed = difference(paired.device, hello.device) or difference(paired.runtime, hello.runtime)
    if changed is not None:
        name, before, now = changed
        raise Refused(
            409,
            "changed",
            f"{name} was {before!r} and is {now!r}: start hwnas profile with --fresh to measure it "
            "as it is",
        )


def require_paired(device_id: str, paired: Hello | None) -> None:
    """Pass the device that has the session.

    Raises:
        Refused: it is another one.
    """
    if paired is None:
        raise Refused(409, "not-paired", "no device is paired yet")
    if paired.device_id != device_id:
        raise Refused(
            409,
            "another-device",
            f"this profile is of another device, {paired.device.model}: one device serves one "
            "profile; start hwnas profile with --fresh for a new one",
        )
