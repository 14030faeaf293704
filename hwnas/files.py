"""Files that are either whole or not there: write under a temporary name, then rename."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


LEFT_BEHIND_S = 3600
"""Age from which nobody is thought to be at work on a temporary file or folder."""


@contextmanager
def _readable_errors(path: Path, action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"cannot {action} {path}: {reason}. Choose another place with --workspace, "
            "or mend the folder's permissions or disk space."
        ) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; its folder is made when missing.

    Raises:
        UserError: the folder is read-only, the disk is full, ...
    """
    with _readable_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file that hwnas wrote.

    Raises:
        UserError: missing, unreadable or not JSON; the message ends with `remedy`.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing. {remedy}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}). {remedy}") from None


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` (replacing it) if the body succeeds."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _readable_errors(path, "write"):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    try:
        yield temporary
        with _readable_errors(path, "write"):
            _swap_in(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap_in(new: Path, path: Path) -> None:
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written, files and folders, anywhere in `folder`.

    What was touched within the hour stays: another machine may be writing it.
    """
    for left in folder.rglob(".*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_BEHIND_S:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def require_writable(folder: Path) -> None:
    """Fail before any long work when results could not be written into `folder`.

    Raises:
        UserError: the folder cannot be made or written.
    """
    with _readable_errors(folder, "write into"):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()


def sha256(data: bytes) -> str:
    """Return the hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as lines of CSV; None is an empty cell."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def fingerprint(value: Any) -> str:
    """Return a short stable hash of a JSON-like value: equal values, equal hash."""
    return sha256(json.dumps(value, sort_keys=True).encode())[:12]
