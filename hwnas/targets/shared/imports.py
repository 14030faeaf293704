"""Large packages are imported whole: some swallow Ctrl-C while they look for others."""

from __future__ import annotations

import importlib
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def import_whole(module: str) -> Any:
    """Return a module; a Ctrl-C meanwhile counts once it is there.

    A bare `except` around an optional import takes the interrupt for a missing package. The command
    would go on as if nothing had been typed, or later meet what was imported by half.

    Raises:
        ImportError: it is not there.
        KeyboardInterrupt: was typed meanwhile.
    """
    with interrupt_deferred():
        return importlib.import_module(module)


@contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Keep a Ctrl-C until the body has ended; outside the main thread there is none to keep."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    typed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: typed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if typed:
        raise KeyboardInterrupt
