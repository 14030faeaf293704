"""Options of a command: one frozen record per command, with every default and every help text.

A command line is made of such a record (`hwnas.cli.command`), and a script fills in the same one. A
field is annotated with what helps people to set it:

    @dataclass(frozen=True, kw_only=True)
    class PickOptions:
        budget_latency: Annotated[tuple[str, ...], Option("Such as 190ms.", BUDGETS)] = ()
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import DataclassInstance

ASKED = "What you ask for"
BUDGETS = "Budgets"
SPACE = "Networks"
TABLE = "A table of networks"
DATA = "Data"
SCORING = "How candidates are scored"
SEARCHING = "How it is searched"
MACHINE = "Machine and files"


@dataclass(frozen=True, slots=True)
class Option:
    """What a command line needs to know of a field.

    Attributes:
        help: what it does, in a sentence.
        panel: heading that it stands under in the help.
        flag: as it is typed, where the field has another name; "--fresh/--resume" for a choice of
            two.
        metavar: what stands for the value in the help.
        default: what the help tells in place of the default, where that is decided later.
        at_least: smallest number that is taken.
        envvar: variable of the environment that is read where the option is not given.
        argument: it has a place instead of a name.
        choices: names that stand for "{choices}" in the help, looked up when help is asked for.
    """

    help: str
    panel: str = ASKED
    flag: str | None = None
    metavar: str | None = None
    default: str | None = None
    at_least: float | None = None
    envvar: str | None = None
    argument: bool = False
    choices: Callable[[], Iterable[str]] | None = None


def options_of(record: type[DataclassInstance]) -> dict[str, tuple[Any, Option]]:
    """Return type and option of every field, by name, in order.

    Raises:
        TypeError: a field has no option.
    """
    found: dict[str, tuple[Any, Option]] = {}
    for name, hint in get_type_hints(record, include_extras=True).items():
        match getattr(hint, "__metadata__", ()):
            case (Option() as option,):
                found[name] = hint.__origin__, option
            case _:
                raise TypeError(f"{record.__name__}.{name} must be annotated with one Option.")
    return {field.name: found[field.name] for field in fields(record)}


def flag_of(name: str, option: Option) -> str:
    """Return how the option of a field is typed, such as --data-dir."""
    return (option.flag or f"--{name.replace('_', '-')}").partition("/")[0]


def given(record: DataclassInstance) -> dict[str, Any]:
    """Return by flag what differs from its default: the options that somebody asked for."""
    known, found = options_of(type(record)), {}
    for field in fields(record):
        _, option = known[field.name]
        value = getattr(record, field.name)
        if not option.argument and value != field.default:
            found[flag_of(field.name, option)] = value
    return found


def refuse(record: DataclassInstance, flags: str, because: str) -> None:
    """Refuse options that do not go with others.

    Args:
        record: the options.
        flags: of those that must stay at their defaults, separated by spaces.
        because: what the user is told.

    Raises:
        UserError: somebody asked for one of them.
    """
    if not given(record).keys().isdisjoint(flags.split()):
        raise UserError(because)


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """Of a command that has none."""
