"""`hwnas lut show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.cli.accuracy import spread
from hwnas.cli.command import command
from hwnas.cli.console import print_json, stdout
from hwnas.cli.lut.heat_map import show_map
from hwnas.workflows.lut.options import LutShowOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.workflows.lut.show import Shown

MICROSECONDS_BELOW = 0.1
"""Tables whose typical key takes less (milliseconds) are shown in microseconds."""


@command(LutShowOptions)
def show(options: LutShowOptions, *, json: bool) -> None:
    """Show a table: provenance, check, heat map.

    The newest table of the workspace, unless one is named.

    Example: hwnas lut show --target onnx-cpu --effects
    """
    from hwnas.workflows.lut import show as workflow

    shown = workflow.show(options)
    if json:
        print_json(shown.to_json())
        return
    stdout().print(*provenance(shown), "", sep="\n")
    if options.effects:
        _show_effects(shown)
    else:
        _show_latencies(shown)


def provenance(shown: Shown) -> list[str]:
    """Return where a table comes from and how far to trust it, in a few lines."""
    table, meta = shown.table, shown.table.meta
    runtime, device = meta["runtime"], meta["device"]
    threads = f"{meta['threads']} thread{'s' if meta['threads'] != 1 else ''}"
    return [
        f"{shown.folder}: {len(table.rows)} keys, {table.label}, {meta['created']}",
        f"device    {', '.join(_device(device))}",
        f"runtime   {runtime['name']} {runtime['version']}, {meta['precision']}, {threads}",
        *_timing(shown),
        *_check(shown),
        _energy(meta),
    ]


def _device(device: dict[str, str]) -> list[str]:
    governor = device.get("governor")
    told = [device.get("title") or device.get("model"), device.get("cpu"), device.get("os")]
    if governor is not None:
        told.append(f"governor {governor}")
    return [text for text in told if text]


def _timing(shown: Shown) -> list[str]:
    if shown.table.estimated:
        return []
    meta, unstable = shown.table.meta, shown.unstable
    lines = [f"timing    {meta['statistic']}"] if "statistic" in meta else []
    if unstable:
        named = ", ".join(map(str, unstable[:3])) + (", ..." if len(unstable) > 3 else "")
        lines.append(f"unstable  {len(unstable)} keys, marked !: {named}")
    return lines


def _check(shown: Shown) -> list[str]:
    meta = shown.table.meta
    check: dict[str, Any] | None = meta["validation"]
    if check is None:
        doubt = f"+-{meta['uncertainty_95pct']:.0%} at 95%, the model's form included"
        anchors = len(meta["anchors"])
        return [f"check     none: estimated from {anchors} published networks, {doubt}"]
    mapes = {"raw": "mape_raw", "affine": "mape_affine", "corrected": "mape"}
    sides = ", ".join(f"{name} {check[k]:.2%}" for name, k in mapes.items() if k in check)
    lines = [
        f"check     {check['networks']} held-out networks, MAPE: {sides}",
        f"          {spread(check)}",
    ]
    if shown.margin is not None:
        lines.append(
            f"margin    {shown.margin:.1%} covers at least 95% of networks, with "
            f"{shown.margin_certainty:.0%} certainty"
        )
    if check["failures"]:
        lines.append(f"GATE      FAILED: {'; '.join(check['failures'])}")
    return lines


def _energy(meta: Any) -> str:
    about = meta.get("energy")
    if about is None:
        return f"energy    {meta['energy_source']}"
    return (
        f"energy    measured by {about['meter']}: {about['running_watts']:.3g} W while parts run, "
        f"idle {about['idle_watts']:.3g} W included"
    )


def _show_latencies(shown: Shown) -> None:
    values = {key: row.latency_ms for key, row in shown.table.rows.items()}
    small = sorted(values.values())[len(values) // 2] < MICROSECONDS_BELOW
    unit, factor = ("us", 1e3) if small else ("ms", 1.0)
    _show_map(shown, values, lambda ms: _digits(factor * ms), f"latency in {unit}", middle=None)


def _digits(value: float) -> str:
    """Return three digits, so that a column's numbers line up."""
    return f"{value:#.3g}".rstrip(".")


def _show_effects(shown: Shown) -> None:
    from statistics import median

    effects = shown.effects
    middle = median(effects.values())
    title = f"corrected over raw latency; white is the median, {middle:.2f}"
    _show_map(shown, effects, lambda ratio: f"{ratio:.2f}", title, middle=middle)


def _show_map(
    shown: Shown,
    values: dict[Any, float],
    write: Callable[[float], str],
    title: str,
    middle: float | None,
) -> None:
    from hwnas.lut.stages import ends

    out, space = stdout(), shown.table.space
    out.print(f"{title}:")
    show_map(space, values, write, middle=middle, marked=shown.unstable)
    out.print(
        "  ".join(
            f"{key.block} {key.in_channels}-{key.out_channels} {key.resolution}px: "
            f"{write(values[key])}{'!' if key in shown.unstable else ''}"
            for key in ends(space)
        )
    )
