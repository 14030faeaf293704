"""Converters print, warn and log at will; what matters of it is the error."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import HwnasError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT, STDERR = 1, 2
"""File descriptors."""


@contextlib.contextmanager
def quietly(converter: str, form: str) -> Iterator[None]:
    """Silence the body; an exception of the converter becomes one line.

    Args:
        converter: its name.
        form: the format that it writes.

    Raises:
        UserError: the converter failed.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            descriptor_silenced(STDOUT),
            descriptor_silenced(STDERR),
        ):
            warnings.simplefilter("ignore")
            yield
    except HwnasError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise UserError(
            f"{converter} cannot write this network as {form} "
            f"({type(error).__name__}: {lines[0][:300]})"
        ) from error
    finally:
        logging.disable(before)


@contextlib.contextmanager
def descriptor_silenced(number: int) -> Iterator[None]:
    """Drop what the body writes to a file descriptor: libraries in C++ know no other way."""
    _flush()
    try:
        kept = os.dup(number)
    except OSError:  # it is closed
        yield
        return
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), number)
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)


def _flush() -> None:
    """Write out what Python has kept back, so that nothing of ours is dropped."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            stream.flush()
