"""`hwnas lut ...`: commands on lookup tables."""

from __future__ import annotations

import typer

from hwnas.cli import lut_diff, lut_fit, lut_show, lut_validate
from hwnas.cli.console import guarded

app = typer.Typer(
    name="lut",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at lookup tables.\n\nWhere they come from, how far to trust them, how they differ.",
)

for _name, _command in (
    ("show", lut_show.show),
    ("validate", lut_validate.validate),
    ("diff", lut_diff.diff),
    ("fit", lut_fit.fit),
):
    app.command(_name)(guarded(_command))
