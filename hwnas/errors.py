"""Every error that hwnas raises on purpose.

HwnasError
├── UserError            exit code 2: bad input or a missing prerequisite
│   ├── TableError       a lookup table that is missing, damaged or of another device
│   ├── InfeasibleError  no network of the space meets the budgets
│   └── MissingPackage   an optional package is not installed
├── Interrupted          exit code 130: by Ctrl-C, with more to say than usual
├── CheckFailed          exit code 1: the work is done, but a check did not hold
└── EvaluationFailed     a candidate could not be scored; recorded, the search goes on
    └── TimedOut         it took too long, here and now
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class HwnasError(Exception):
    """Base class. The message is one line: what is wrong, where, and what to do.

    Attributes:
        exit_code: of a command that ends so.
        result: of a command that had done its work before, and is told all the same; else None.
    """

    exit_code = 2
    result: Mapping[str, Any] | None = None


class UserError(HwnasError):
    """Bad input or a missing prerequisite."""


class TableError(UserError):
    """A lookup table that is missing, damaged, or measured on something else."""


class InfeasibleError(UserError):
    """No network of the space meets the budgets."""


class MissingPackage(UserError):  # noqa: N818 - reads as what happened
    """An optional package is not installed; the message holds the pip command."""


class Interrupted(HwnasError):  # noqa: N818 - the user's wish rather than a mistake
    """Ctrl-C, where going on takes another command than the one that was given."""

    exit_code = 130


class CheckFailed(HwnasError):  # noqa: N818 - a verdict rather than a mistake
    """The work was done, but a check (parity, budget, validation gate) did not hold."""

    exit_code = 1


class EvaluationFailed(HwnasError):  # noqa: N818 - a record rather than a mistake
    """A candidate diverged, crashed or ran out of memory.

    Attributes:
        images: that it was trained on before, as far as known.
    """

    images: int = 0


class TimedOut(EvaluationFailed):
    """A candidate took longer than its time limit."""


MOST_LISTED = 40
"""Names that a message holds: a file may have hundreds."""


def one_of(kind: str, given: str, known: list[str], remedy: str = "") -> UserError:
    """Return the error for a name that is not among the known ones.

    Args:
        kind: what the name stands for, e.g. "target".
        given: the name as the user typed it.
        known: all names that would have been right.
        remedy: an optional last sentence.
    """
    from difflib import get_close_matches

    near = get_close_matches(given, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    tail = f" {remedy}" if remedy else ""
    listed = ", ".join(known[:MOST_LISTED]) or "none"
    more = f", ... ({len(known)} in all)" if len(known) > MOST_LISTED else ""
    return UserError(f"unknown {kind} {given!r}.{hint} Known: {listed}{more}.{tail}")
