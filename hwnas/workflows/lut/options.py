"""Options of `hwnas lut show`, `validate`, `diff` and `fit`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hwnas.options import Option
from hwnas.workflows import shared_options as shared

GRID = "The grid of any benchmark"


@dataclass(frozen=True, kw_only=True)
class LutShowOptions:
    """Options of `hwnas lut show`."""

    target: shared.Target = None
    space: shared.Space = None
    effects: Annotated[
        bool, Option("Corrected over raw latency: what placement and layout add or save.")
    ] = False
    workspace: shared.Workspace = shared.HERE


@dataclass(frozen=True, kw_only=True)
class LutValidateOptions:
    """Options of `hwnas lut validate`."""

    target: shared.Target = None
    space: shared.Space = None
    fresh: Annotated[
        bool,
        Option(
            "Time networks that the table has never seen, or show the check it was made with.",
            flag="--fresh/--stored",
        ),
    ] = False
    networks: Annotated[int, Option("How many, with --fresh.", at_least=30)] = 100
    seed: Annotated[int, Option("Which networks, with --fresh.", at_least=0)] = 0
    confidence: Annotated[float | None, Option("Of the margin.", default="0.95")] = None
    workspace: shared.Workspace = shared.HERE


@dataclass(frozen=True, kw_only=True)
class LutDiffOptions:
    """Options of `hwnas lut diff`."""

    a: Annotated[str, Option("Folder of a table, or a target.", argument=True)]
    b: Annotated[str, Option("The same; its latencies are divided by those of A.", argument=True)]
    space: shared.Space = None
    workspace: shared.Workspace = shared.HERE


@dataclass(frozen=True, kw_only=True)
class LutFitOptions(shared.NamesGeometry):
    """Options of `hwnas lut fit`."""

    timings: Annotated[Path, Option("CSV of whole-network times, may be .gz.", argument=True)]
    target: shared.Target = None
    space: shared.Space = None
    ops: Annotated[
        str | None, Option("Op columns of any benchmark's grid, in order: b0,b1,...", GRID)
    ] = None
    latency: Annotated[str | None, Option("Latency column (ms) of the grid.", GRID)] = None
    empty: Annotated[str | None, Option("Op of the grid that takes no time.", GRID)] = None
    out: Annotated[
        Path | None,
        Option(
            "Where the times of the grid's ops go.",
            GRID,
            default="FILE-COLUMN-parts.csv in the current folder",
        ),
    ] = None
    input_size: shared.InputSize = None
    classes: shared.Classes = None
    width: shared.Width = None
    workspace: shared.Workspace = shared.HERE
