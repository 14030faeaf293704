"""`hwnas lut ...`: commands on lookup tables."""

from __future__ import annotations

import typer

from hwnas.cli import lut_fit
from hwnas.cli.console import guarded

app = typer.Typer(
    name="lut",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at lookup tables: where they come from, how far to trust them, how they differ.",
)

for _name, _command in (("fit", lut_fit.fit),):
    app.command(_name)(guarded(_command))


@app.callback()
def _group() -> None:
    pass
