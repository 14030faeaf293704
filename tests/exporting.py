"""What tests of exports share: a file made, checked and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.progress import Silent
from hwnas.targets.formats import find_format
from hwnas.workflows.export.checked_file import hand_over
from hwnas.workflows.export.from_graph import emitted
from hwnas.workflows.export.from_module import converted
from hwnas.workflows.export.options import ExportOptions

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.models.own import OwnModel
    from hwnas.targets.shared.format import Format
    from hwnas.workflows.winner import Winner


def export_network(
    winner: Winner,
    form: str | Format,
    precision: str,
    folder: Path,
    reporter: Any = None,
    **limits: Any,
) -> dict[str, Any]:
    """Export a network of a space."""
    chosen, told = find_format(form) if isinstance(form, str) else form, reporter or Silent()
    draft = emitted(winner, chosen, precision, {"run": "test"}, told)
    return hand_over(draft, ExportOptions(**limits), folder, told)


def export_module(model: OwnModel, folder: Path, **options: Any) -> dict[str, Any]:
    """Export a torch module of one's own."""
    asked = ExportOptions(**options)
    return hand_over(converted(model, asked, Silent()), asked, folder, Silent())
