"""The command-line application: names and help; each command's work is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from hwnas.cli import (
    data,
    doctor,
    export,
    lut,
    predict,
    profile,
    quickstart,
    targets,
    train,
)
from hwnas.cli.bench import bench
from hwnas.cli.command import GroupedHelp
from hwnas.cli.search import pick, search

app = typer.Typer(
    name="hwnas",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find, train and export the best small CNN within a latency budget on a real device.\n\n"
    "profile -> search -> train -> export -> bench; `hwnas quickstart` runs all of it on "
    "bundled data.",
)


def _version(value: bool) -> None:
    if value:
        from hwnas import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


for _name, _command in (
    ("quickstart", quickstart.quickstart),
    ("profile", profile.profile),
    ("search", search.search),
    ("pick", pick.pick),
    ("train", train.train),
    ("export", export.export),
    ("bench", bench.bench),
    ("predict", predict.predict),
    ("targets", targets.targets),
    ("doctor", doctor.doctor),
):
    app.command(_name, cls=GroupedHelp)(_command)
app.add_typer(data.app)
app.add_typer(lut.app)
