"""Every request in a log file, refusals on the terminal too; the token is in neither."""

from __future__ import annotations

import datetime as dt
import json
import logging
import logging.handlers
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.agent.wire import one_line
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGEST_LOG = 4 << 20
"""Bytes from which on the log is put aside as .1, the one before it is dropped."""
LONGEST_PATH = 120
TELL_EVERY_S = 5.0
"""Refusals on the terminal: the first at once, then one line in so many seconds."""


@dataclass(slots=True)
class Entry:
    """One request, or a connection without one.

    Attributes:
        peer: address and port.
        method: of HTTP, or "-".
        path: without the query.
        status: of the answer; 0: none was given.
        received: bytes of the body.
        sent: bytes of the answer's body.
        reason: of a refusal, else what was answered.
    """

    peer: str
    method: str = "-"
    path: str = "-"
    status: int = 0
    received: int = 0
    sent: int = 0
    reason: str = ""


class RequestLog:
    """JSON lines, so that nothing a stranger sends can forge one; bounded in size."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        """Open the log.

        Args:
            path: of the file; its folder is made.
            tell: shows a line on the terminal.

        Raises:
            UserError: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = logging.handlers.RotatingFileHandler(
                path, maxBytes=LARGEST_LOG, backupCount=1, encoding="utf-8"
            )
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        self._file.setFormatter(logging.Formatter("%(message)s"))
        self._tell, self._lock = tell, threading.Lock()
        self._told_at, self._untold = float("-inf"), 0

    def write(self, entry: Entry) -> None:
        """Log a request; tell it if it was refused."""
        entry.path = entry.path[:LONGEST_PATH]
        self._emit(asdict(entry))
        if entry.status == 0 or entry.status >= 400:
            self._refused(entry)

    def problem(self, text: str) -> None:
        """Log something that is not a request, such as an error of this program."""
        self._emit({"problem": text})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _emit(self, fields: dict[str, Any]) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        self._file.handle(logging.makeLogRecord({"msg": json.dumps({"time": now, **fields})}))

    def _refused(self, entry: Entry) -> None:
        with self._lock:
            if time.monotonic() - self._told_at < TELL_EVERY_S:
                self._untold += 1
                return
            more, self._untold = self._untold, 0
            self._told_at = time.monotonic()
        since = f" (and {more} more since)" if more else ""
        what = one_line(f"{entry.method} {entry.path}")
        self._tell(f"refused {entry.peer} {what}: {one_line(entry.reason)}{since}")


class ProblemHandler(logging.Handler):
    """Sends what the web server logs about itself to the request log."""

    def __init__(self, log: RequestLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self._log.problem(self.format(record))
