"""`hwnas lut validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout

if TYPE_CHECKING:
    from hwnas.workflows.lut.validate import Validated

SLOWER = 0.03
"""Change of the machine's speed from which on it is named."""


def validate(
    target: options.Target = None,
    space: options.Space = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh/--stored",
            help="Time networks that the table has never seen, or show the check it was made with.",
        ),
    ] = False,
    networks: Annotated[int, typer.Option(min=30, help="How many, with --fresh.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Which networks, with --fresh.")] = 0,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", help="Of the margin.", show_default="0.95"),
    ] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Tell how well a table predicts whole networks.

    All of them are networks that it was not made from.

    Exits with 1 if the check fails.

    Example: hwnas lut validate --target onnx-cpu --fresh
    """
    from hwnas.workflows.lut.validate import validate_table

    found = validate_table(
        workspace,
        target,
        space,
        TerminalReporter(),
        fresh=fresh,
        networks=networks,
        seed=seed,
        confidence=confidence,
    )
    if json:
        print_json(found.to_json())
    else:
        _show(found)
    if not found.passed:
        raise typer.Exit(1)


def _show(found: Validated) -> None:
    out, told = stdout(), found.to_json()
    kind = "fresh networks" if found.fresh else "held-out networks"
    out.print(
        f"{told['target']}, {told['space']} ({told['precision']}), {told['networks']} {kind}:"
    )
    out.print(
        f"MAPE {told['mape']:.2%}, within 5%: {told['within_5pct']:.0%}, within 10%: "
        f"{told['within_10pct']:.0%}, Kendall tau {told['kendall_tau']:.3f}, worst "
        f"{told['worst']:.1%}"
    )
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
