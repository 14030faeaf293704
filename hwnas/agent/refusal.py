"""What a device is told when something is not as it should be."""

from __future__ import annotations

LONGEST_REASON = 400


class Refused(Exception):  # noqa: N818 - an answer rather than an error of this program
    """An answer with a status from 400 on.

    Attributes:
        status: of HTTP.
        code: for programs, such as "superseded".
        reason: one line for people; what a stranger sent may be part of it, so that it is cut, and
            whatever could steer a terminal is replaced.
    """

    def __init__(self, status: int, code: str, reason: str) -> None:
        self.status, self.code, self.reason = status, code, one_line(reason)
        super().__init__(self.reason)


def one_line(text: str) -> str:
    """Return a text that is safe to show: one line, not long, nothing but characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST_REASON])
