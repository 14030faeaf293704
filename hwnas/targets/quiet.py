"""Converters print, warn and log at will; what matters of it is the error."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import TYPE_CHECKING

from hwnas.errors import HwnasError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator


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
