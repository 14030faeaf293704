"""The command-line application: names and help; each command's work is imported when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from hwnas.cli.command import GroupedHelp

COMMANDS = {
    "quickstart": ("quickstart", "Run the whole chain on bundled data, in about six minutes."),
    "profile": ("profile", "Build a device's lookup table: what each block costs there."),
    "search": ("search", "Find the best network that keeps within all budgets."),
    "pick": ("search", "Answer another budget from a finished run."),
    "train": ("train", "Train the winner of a run in full, or any architecture."),
    "export": ("export", "Write a model file that was checked against torch."),
    "bench": ("bench", "Time a network on its devices against prediction and budget."),
    "predict": ("predict", "Tell what a network costs: exact counts, predicted latency."),
    "targets": ("targets", "List the known devices and their tables."),
    "doctor": ("doctor", "Say what works here and what to install for the rest."),
    "data": ("data", "Look at data sets."),
    "lut": ("lut", "Look at lookup tables."),
}
"""By name: the module of a command, and the first line of its help."""


class OnDemand(TyperGroup):
    """Commands that are imported, options and all, when they are run or their help is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the command itself and its arguments."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and _loaded(str(name)), rest


def _loaded(name: str) -> Any:
    module = import_module(f"hwnas.cli.{COMMANDS[name][0]}")
    if hasattr(module, "app"):
        return get_group(module.app)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=GroupedHelp)(getattr(module, name))
    return get_command(alone)


app = typer.Typer(
    name="hwnas",
    cls=OnDemand,
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


def _later() -> None:
    """Stand for a command until it is loaded."""


for _name, (_, _line) in COMMANDS.items():
    app.command(_name, help=_line)(_later)
