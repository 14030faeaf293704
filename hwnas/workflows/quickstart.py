"""The figures of `hwnas quickstart`: what it runs on, and the budget that it sets itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.workflows.bench.timing import Target, baseline, time_networks

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace

TARGET, SPACE = "onnx-cpu", "rcnet-digits"
TEACHERS = 2
SHARE_OF_BASELINE = 0.7
"""The budget is this share of MobileNetV2's own latency at the same geometry."""


def budget_ms(profile: DeviceProfile, space: RcnetSpace, reporter: Reporter) -> float:
    """Return a budget that means the same on every machine: a share of MobileNetV2's time.

    MobileNetV2 is timed on this machine at the space's geometry.
    """
    target = Target(profile)
    known = baseline("mobilenet_v2", space, target.backend)
    (timing,) = time_networks(target, [known], reporter).timings
    reporter.info(
        f"MobileNetV2 at this size takes {timing.median_ms:.4g} ms here; the budget is "
        f"{SHARE_OF_BASELINE:.0%} of that"
    )
    return timing.median_ms * SHARE_OF_BASELINE
