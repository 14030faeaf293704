"""Ctrl-C and SIGTERM as a wish that the work grants at its next good moment."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether someone asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, *_: object) -> None:
        """Note the wish; the second one is for at once."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def stop_requests(*, heed: bool = True) -> Iterator[Stop]:
    """Take note of the signals that ask a process to stop, while the body runs.

    Args:
        heed: else they are ignored, by processes that another one leads.
    """
    stop = Stop()
    # Only the main thread may, and only it is sent signals.
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handler: Any = stop.ask if heed else signal.SIG_IGN
    # What a shell's background job or nohup ignores stays ignored.
    kept = (signal.SIG_IGN, None)
    heard = [number for number in SIGNALS if signal.getsignal(number) not in kept]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)
