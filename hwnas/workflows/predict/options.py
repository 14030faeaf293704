"""Options of `hwnas predict`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from hwnas.options import Option
from hwnas.workflows import shared_options as shared


@dataclass(frozen=True, kw_only=True)
class PredictOptions(shared.NamesGeometry):
    """Options of `hwnas predict`."""

    arch: Annotated[
        str,
        Option(
            '36 type numbers ("5,0,...|..."), "s0", or a published name: rcnet-cifar100, '
            "rcnet-imagenet, rcnet-b-imagenet.",
            argument=True,
        ),
    ]
    target: shared.Target = None
    space: shared.Space = None
    confidence: Annotated[float | None, Option("Of the latency's upper bound.")] = None
    input_size: shared.InputSize = None
    classes: shared.Classes = None
    width: shared.Width = None
    workspace: shared.Workspace = shared.HERE
