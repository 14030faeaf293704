"""Options of `hwnas targets`."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.workflows import shared_options as shared


@dataclass(frozen=True, kw_only=True)
class TargetsOptions:
    """Options of `hwnas targets`."""

    workspace: shared.Workspace = shared.HERE
