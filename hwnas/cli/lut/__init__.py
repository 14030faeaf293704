"""`hwnas lut ...`: commands on lookup tables."""

from __future__ import annotations

import typer

from hwnas.cli.command import GroupedHelp
from hwnas.cli.lut import diff, fit, show, validate

app = typer.Typer(
    name="lut",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at lookup tables.\n\nWhere they come from, how far to trust them, how they differ.",
)

for _name, _command in (
    ("show", show.show),
    ("validate", validate.validate),
    ("diff", diff.diff),
    ("fit", fit.fit),
):
    app.command(_name, cls=GroupedHelp)(_command)
