"""Records of options as commands: what is typed, what help shows, what is not at its default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from hwnas.cli.app import COMMANDS
from hwnas.cli.app import app as hwnas
from hwnas.cli.command import GroupedHelp, command
from hwnas.cli.console import stdout
from hwnas.errors import UserError
from hwnas.options import BUDGETS, MACHINE, NoOptions, Option, given, options_of, refuse


@dataclass(frozen=True, kw_only=True)
class CakeOptions:
    """Options of a command of these tests."""

    kind: Annotated[str, Option("One of {choices}.", argument=True, choices=lambda: ["a", "b"])]
    budget: Annotated[tuple[str, ...], Option("May be repeated.", BUDGETS, metavar="EUR")] = ()
    input_size: Annotated[str | None, Option("Size.", flag="--input")] = None
    layers: Annotated[int, Option("Layers.", at_least=1)] = 3
    candles: Annotated[int, Option("Candles.")] = 0
    fresh: Annotated[bool, Option("Begin anew.", flag="--fresh/--resume")] = False
    folder: Annotated[Path, Option("Where.", MACHINE, default="the current folder")] = Path()


TAKEN: list[tuple[CakeOptions, bool]] = []


@command(CakeOptions)
def cake(options: CakeOptions, *, json: bool) -> None:
    """Bake a cake."""
    TAKEN.append((options, json))
    if options.kind == "bad":
        raise UserError("no such cake.")


@pytest.fixture
def bake():
    app = typer.Typer(rich_markup_mode=None)
    app.command("cake", cls=GroupedHelp)(cake)
    TAKEN.clear()
    return lambda *words: CliRunner().invoke(app, words)


def test_words_become_a_record(bake):
    assert bake("a").exit_code == 0
    words = "b --budget 1 --budget 2 --input 3x8x8 --layers 5 --fresh --folder x --json"
    assert bake(*words.split()).exit_code == 0
    full = CakeOptions(
        kind="b", budget=("1", "2"), input_size="3x8x8", layers=5, fresh=True, folder=Path("x")
    )
    assert [(CakeOptions(kind="a"), False), (full, True)] == TAKEN


def test_a_number_below_the_least_and_an_unknown_option_are_refused(bake):
    assert bake("a", "--layers", "0").exit_code == 2
    assert bake("a", "--no-fresh").exit_code == 2
    assert bake("a", "--resume").exit_code == 0


def test_a_users_mistake_is_one_line_and_exit_code_2(bake):
    result = bake("bad")
    assert (result.exit_code, result.stderr) == (2, "hwnas: no such cake.\n")


def test_help_groups_options_in_the_order_of_the_record(bake):
    text = bake("--help").output
    headings = ["What you ask for:", "Budgets:", "Machine and files:", "Output and help:"]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    assert text.index("--input") < places[1] < text.index("--budget") < places[2]
    assert "One of a, b." in text
    assert "the current folder" in text
    assert "--budget EUR" in text
    assert "  KIND  " in text
    assert "--layers N" in text
    assert "[default: 3" in text
    assert "(the current folder)" not in text
    assert "[default: 0]" in text


def test_given_names_what_differs_from_the_defaults():
    options = CakeOptions(kind="a", budget=("1",), input_size="3x8x8")
    assert given(options) == {"--budget": ("1",), "--input": "3x8x8"}


def test_a_command_may_have_no_options_of_its_own():
    seen: list[bool] = []

    @command(NoOptions)
    def rest(_options: NoOptions, *, json: bool) -> None:
        """Do nothing."""
        seen.append(json)

    app = typer.Typer(rich_markup_mode=None)
    app.command("rest", cls=GroupedHelp)(rest)
    assert CliRunner().invoke(app, ["--json"]).exit_code == 0
    assert seen == [True]


def test_every_field_needs_an_option():
    @dataclass(frozen=True)
    class Bare:
        size: int = 3

    with pytest.raises(TypeError, match=r"Bare\.size must be annotated with one Option"):
        options_of(Bare)


def test_options_that_do_not_go_together_are_refused_where_they_were_given():
    options = CakeOptions(kind="a", input_size="3x8x8")
    refuse(options, "--budget --layers", "no budget, no layers.")
    with pytest.raises(UserError, match="leave --input out"):
        refuse(options, "--budget --input", "leave --input out.")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_what_it_says_of_itself(name):
    shown = CliRunner().invoke(hwnas, [name, "--help"], catch_exceptions=False).output
    _, _, line, *_ = shown.splitlines()
    assert line.strip() == COMMANDS[name][1]


def test_square_brackets_are_printed_as_they_are(capsys):
    stdout().print("runs/a[bold]b/c", "[/red]")
    assert capsys.readouterr().out == "runs/a[bold]b/c [/red]\n"
