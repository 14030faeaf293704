"""Where commands write: results to standard output, everything else to standard error."""

from __future__ import annotations

import functools
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

import typer

from hwnas.errors import HwnasError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from hwnas.progress import Advance

P = ParamSpec("P")

UsageError: Any = typer.BadParameter.__base__
"""What the options' parser raises: typer names only this subclass of it."""

INTERRUPTED = 130
REDIRECTED_WIDTH = 140
"""Columns of a table that goes to a file or a pipe, where no terminal tells its own."""


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn deliberate errors into one line and an exit code; other errors stay tracebacks."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except HwnasError as error:
            one_line = " ".join(str(error).split())
            typer.echo(f"hwnas: {one_line}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("hwnas: interrupted; the same command goes on where it stopped.", err=True)
            raise typer.Exit(INTERRUPTED) from None

    return run


def run(app: typer.Typer) -> NoReturn:
    """Run the command line and exit; a mistake in its words is one line like any other."""
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        message = error.format_message()
        if "\n" in message:  # the help, where no command was named
            typer.echo(message, err=True)
        else:
            where = f" See `{error.ctx.command_path} -h`." if error.ctx else ""
            end = "" if message.endswith((".", "?")) else "."
            typer.echo(f"hwnas: {message}{end}{where}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code or 0)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def stderr() -> Console:
    """Return a console on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def stdout() -> Console:
    """Return a console on standard output."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else REDIRECTED_WIDTH
    return Console(highlight=False, markup=False, soft_wrap=True, width=width)


class TerminalReporter:
    """Messages and bars on standard error; no bars where that is not a terminal."""

    def __init__(self) -> None:
        self._console = stderr()

    def info(self, message: str) -> None:
        """Show one line above the bar."""
        self._console.print(message)

    def warn(self, message: str) -> None:
        """Show one line in yellow."""
        self._console.print(f"warning: {message}", style="yellow")

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """Show a bar with elapsed and remaining time, or two plain lines."""
        if not self._console.is_terminal:
            self.info(f"{description} ...")
            yield lambda steps=1, note="": None  # noqa: ARG005
            return
        from rich import progress as bars

        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.fields[note]}"),
        )
        with bars.Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(description, total=total, note="")

            def advance(steps: int = 1, note: str = "") -> None:
                progress.update(task, advance=steps, note=note)

            yield advance
