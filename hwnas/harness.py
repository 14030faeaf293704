"""Who measures a device that is not this machine: the programs in `export/`."""

from __future__ import annotations

HARNESSES = {
    "linux": ("onnxruntime", "tflite", "tflite-runtime"),
    "android": ("tflite",),
    "ios": ("coreml",),
}
"""Runtimes that each drives, by its folder in `export/`."""
ASKING = ("linux",)
"""Those that can also ask for models over the network; phones are fed through a cable."""


def usual_harness(runtime: str) -> str:
    """Return the first harness that drives a runtime; "linux" for an unknown one."""
    return next((name for name, runs in HARNESSES.items() if runtime in runs), "linux")


def measure_command(target: str, harness: str) -> str:
    """Return how a device that is not this machine is measured, in a few words."""
    asks = harness in ASKING
    listen = ", or --listen HOST:PORT (the device asks for them)" if asks else ""
    return (
        f"hwnas profile --target {target} --emit DIR (files for the device){listen}; see "
        "docs/devices.md."
    )
