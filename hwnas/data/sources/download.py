"""Files from the network: checked, and either whole or not there."""

from __future__ import annotations

import hashlib
import http.client
import os
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.progress import Reporter

TIMEOUT_S = 30.0
"""Without any data: a network that swallows packets is as good as none."""
MEGABYTE = 10**6


class NoDownload(UserError):  # noqa: N818 - what happened
    """A file could not be fetched; the message says from where, and why."""


def fetch(urls: Sequence[str], path: Path, md5: str, reporter: Reporter) -> None:
    """Download a file from the first place that has it, unless it is there already.

    Args:
        urls: of the same content.
        path: where the file goes; its folder exists.
        md5: of the content, as whoever published it tells it.
        reporter: is shown a bar of megabytes.

    Raises:
        NoDownload: no place answers, or what comes is not the file.
    """
    if path.is_file() and md5_of(path) == md5:
        return
    problem = "no address is known"
    for url in urls:
        try:
            _fetch(url, path, md5, reporter)
        except (URLError, http.client.HTTPException, OSError, ValueError) as error:
            problem = f"{url}: {_reason(error)}"
        else:
            return
    raise NoDownload(problem)


def _fetch(url: str, path: Path, md5: str, reporter: Reporter) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    found = hashlib.md5(usedforsecurity=False)
    try:
        with urlopen(url, timeout=TIMEOUT_S) as answer, temporary.open("wb") as stream:  # noqa: S310
            total = int(answer.headers.get("Content-Length") or 0) // MEGABYTE
            with reporter.task(f"downloading {path.name}, MB", max(1, total)) as advance:
                while part := answer.read(MEGABYTE):
                    stream.write(part)
                    found.update(part)
                    advance()
        if found.hexdigest() != md5:
            raise ValueError(f"what came is not {path.name} (MD5 {found.hexdigest()})")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def md5_of(path: Path) -> str:
    """Return the hex MD5 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _reason(error: Any) -> str:
    inner = getattr(error, "reason", None)
    if isinstance(inner, OSError):
        error = inner
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
