"""`hwnas lut validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from hwnas.cli.accuracy import spread
from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.workflows.lut.options import LutValidateOptions

if TYPE_CHECKING:
    from hwnas.workflows.lut.validate import Validated

SLOWER = 0.03
"""Change of the machine's speed from which on it is named."""


@command(LutValidateOptions)
def validate(options: LutValidateOptions, *, json: bool) -> None:
    """Tell how well a table predicts whole networks.

    All of them are networks that it was not made from.

    Exits with 1 if the check fails.

    Example: hwnas lut validate --target onnx-cpu --fresh
    """
    from hwnas.workflows.lut import validate as workflow

    found = workflow.validate(options, TerminalReporter())
    print_json(found.to_json()) if json else _show(found)
    if not found.passed:
        raise typer.Exit(1)


def _show(found: Validated) -> None:
    out, told = stdout(), found.to_json()
    kind = "fresh networks" if found.fresh else "held-out networks"
    out.print(
        f"{told['target']}, {told['space']} ({told['precision']}), {told['networks']} {kind}:"
    )
    out.print(f"MAPE {told['mape']:.2%}, {spread(told)}")
    out.print(
        f"upper bound (+{told['margin']:.1%}, for at least {told['confidence']:.0%} with "
        f"{told['margin_certainty']:.0%} certainty) holds for {told['coverage']:.0%}"
    )
    if (noise := told.get("split_half_noise")) is not None:
        out.print(
            f"noise of these timings: {noise:.2%} between halves of the loads, so a perfect table "
            f"would show about {noise / 2:.2%}"
        )
    if found.fresh and abs(told["speed"] - 1) > SLOWER:
        out.print(
            f"this machine now takes {told['speed']:.3f} times as long as when the table was made "
            f"(divided out above; without that: MAPE {told['now']['mape']:.2%}). Measure again if "
            f"it stays so: {found.table.remedy} --fresh"
        )
    verdict = "passed" if found.passed else f"FAILED: {'; '.join(told['failures'])}"
    out.print(f"check {verdict}")
    if not found.fresh and told["source"] == "measured":
        out.print(
            f"next: hwnas lut validate --target {told['target']} --space {told['space']} --fresh"
        )
