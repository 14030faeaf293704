"""`hwnas lut diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.cli.command import command
from hwnas.cli.console import print_json, stdout
from hwnas.cli.lut.heat_map import show_map
from hwnas.workflows.lut.options import LutDiffOptions

if TYPE_CHECKING:
    from hwnas.workflows.lut.diff import Difference

WORST = 5


@command(LutDiffOptions)
def diff(options: LutDiffOptions, *, json: bool) -> None:
    """Compare two tables of one space, key by key.

    Example: hwnas lut diff onnx-cpu tflite --space rcnet-imagenet
    """
    from hwnas.workflows.lut import diff as workflow

    found = workflow.diff(options)
    print_json(found.to_json()) if json else _show(found)


def _show(found: Difference) -> None:
    out, told = stdout(), found.to_json()
    for side in ("a", "b"):
        about = told[side]
        runtime = about["runtime"]
        out.print(
            f"{side.upper()}  {about['name']}: {about['target']}, {about['label']} "
            f"{about['created']}, {runtime['name']} {runtime['version']}, {about['precision']}"
        )
    out.print(
        f"B over A, {told['keys']} keys of {told['space']}: median {told['median_ratio']:.3f} "
        f"(median change {told['median_change']:.1%}), "
        f"from {told['smallest_ratio']:.2f} to {told['largest_ratio']:.2f}; Kendall tau of keys "
        f"{told['kendall_tau']:.3f}"
    )
    for name, blocks in (("cheaper", "cheaper_in_b"), ("dearer", "dearer_in_b")):
        listed = [f"{block} ({told['by_block'][block] - 1:+.0%})" for block in told[blocks]]
        out.print(f"relatively {name} in B: {', '.join(listed) or 'none'}")
    out.print("largest changes:")
    for key in found.worst(WORST):
        before, after = found.a.rows[key].latency_ms, found.b.rows[key].latency_ms
        out.print(f"  {key!s:<22} {before:.4g} ms -> {after:.4g} ms  ({after / before:.2f})")
    out.print(f"\nlatency of B over A; white is the median, {found.median:.2f}:")
    show_map(found.a.space, found.ratios, lambda ratio: f"{ratio:.2f}", middle=found.median)
