"""Options of `hwnas bench`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hwnas.options import Option
from hwnas.workflows import shared_options as shared


def _baselines() -> Iterable[str]:
    from hwnas.spaces import BASELINES

    return BASELINES


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of `hwnas bench`."""

    target: Annotated[
        tuple[str, ...],
        Option(
            "Device, see `hwnas targets`; may be repeated.",
            default="all that the run has a latency budget for",
        ),
    ] = ()
    model: Annotated[Path | None, Option("An .onnx or .tflite file instead of a run.")] = None
    budget_latency: Annotated[
        tuple[str, ...],
        Option('With --model: "12ms", or "tflite=12ms"; may be repeated.', metavar="QUANTITY"),
    ] = ()
    baseline: Annotated[
        tuple[str, ...],
        Option(
            "Networks to time beside it ({choices}); may be repeated.",
            default="mobilenet_v2",
            choices=_baselines,
        ),
    ] = ("mobilenet_v2",)
    recalibrate: Annotated[
        bool, Option("Correct the targets' tables by what the winner was timed at.")
    ] = False
    run: shared.RunFolder = None
    workspace: shared.Workspace = shared.HERE
