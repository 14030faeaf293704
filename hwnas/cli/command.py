"""From a record of options to a command: each field becomes an option, and `--json` is added."""

from __future__ import annotations

import functools
import inspect
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

import typer
from typer.core import TyperCommand

from hwnas.cli.console import guarded
from hwnas.options import flag_of, options_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

    from hwnas.options import Option

Record = TypeVar("Record", bound="DataclassInstance")

JSON = "json"
FURTHER = "Output and help"
"""Heading of what every command has."""


def command(record: type[Record]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function that takes a record of options, and whether to print JSON.

    The function's docstring is the command's help.

    Args:
        record: a frozen dataclass whose fields are annotated with `Option`.
    """

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*, json: bool, **values: Any) -> None:
            taken = {name: _taken(value) for name, value in values.items() if value is not None}
            function(record(**taken), json=json)

        known, defaults = options_of(record), {f.name: f.default for f in fields(record)}
        parameters = [_parameter(name, *known[name], defaults[name]) for name in known]
        parameters.append(_json_parameter())
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.options = known  # type: ignore[attr-defined]
        return guarded(run)

    return decorated


def _taken(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _parameter(name: str, kind: Any, option: Option, default: Any) -> inspect.Parameter:
    about: dict[str, Any] = {
        "help": option.help if option.default is None else _told(option),
        "metavar": option.metavar or _metavar(name, kind, option),
        "min": option.at_least,
        "envvar": option.envvar,
        "show_default": option.default is None
        and (default not in (None, "", ()) and default is not False),
        "rich_help_panel": option.panel,
    }
    many = get_origin(kind) is tuple
    typed = list[get_args(kind)[0]] | None if many else kind  # type: ignore[misc]
    if option.argument:
        return _keyword(name, Annotated[typed, typer.Argument(**about)], inspect.Parameter.empty)
    flag = option.flag or flag_of(name, option)
    return _keyword(name, Annotated[typed, typer.Option(flag, **about)], None if many else default)


def _told(option: Option) -> str:
    """Return the help with the default in words: typer would put brackets around these."""
    return f"{option.help}  [default: {option.default}]"


def _metavar(name: str, kind: Any, option: Option) -> str | None:
    """Return what stands for a value in the help; None for a choice of two, which has none."""
    if option.argument:
        return name.upper()
    of_kind = {str: "TEXT", int: "N", float: "X", Path: "PATH"}
    named = (each for each in (kind, *get_args(kind)) if each in of_kind)
    return next((of_kind[each] for each in named), None)


def _json_parameter() -> inspect.Parameter:
    about = typer.Option("--json", help="Print one JSON document.", rich_help_panel=FURTHER)
    return _keyword(JSON, Annotated[bool, about], default=False)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


class GroupedHelp(TyperCommand):
    """Help whose options stand under the headings of their panels, in the order of the record."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section per panel, choices looked up."""
        known: dict[str, tuple[Any, Option]] = getattr(self.callback, "options", {})
        panels: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (row := param.get_help_record(ctx)) is None:
                continue
            name, text = row
            _, option = known.get(param.name or "", (None, None))
            if option is not None and option.choices is not None:
                text = text.replace("{choices}", ", ".join(option.choices()))
            if option is not None and option.argument:
                name, *_ = name.split()  # without its type
            panel = getattr(param, "rich_help_panel", None) or FURTHER
            panels.setdefault(panel, []).append((name, text))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)
