"""How long work tells what it is doing, without knowing where that is shown."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Advance(Protocol):
    """Report `steps` more done and, if given, a new text beside the bar."""

    def __call__(self, steps: int = 1, note: str = "") -> None: ...  # noqa: D102


class Reporter(Protocol):
    """Where messages and progress go: a terminal, a log, or nowhere."""

    def info(self, message: str) -> None:
        """Show one line."""

    def warn(self, message: str) -> None:
        """Show one line that the user should not miss."""

    def task(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """Show a bar of `total` steps while the body runs."""


class Silent:
    """A reporter that shows nothing."""

    def info(self, message: str) -> None:
        """Drop the message."""

    def warn(self, message: str) -> None:
        """Drop the message."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        """Count nothing."""

        def advance(steps: int = 1, note: str = "") -> None:
            pass

        yield advance
