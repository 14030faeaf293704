"""The folder where decoded images and downloads are kept, shared by all processes of a user."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.progress import Reporter

VARIABLE = "HWNAS_CACHE"

SPARE_BYTES = 200 * 10**6
"""What a disk is left with: a full one stops other programs too."""

REMEDY = f"set the environment variable {VARIABLE} to a writable folder with more space"


def cache_folder() -> Path:
    """Return where decoded images are kept: $HWNAS_CACHE, else ~/.cache/hwnas."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "hwnas")


@contextmanager
def cache_errors() -> Iterator[None]:
    """Tell in one line what cannot be written.

    Raises:
        UserError: the folder is read-only, the disk is full, ...
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot keep decoded images in {cache_folder()} ({error.strerror or error}): {REMEDY}."
        ) from error


@contextmanager
def alone(path: Path, reporter: Reporter, doing: str) -> Iterator[None]:
    """Wait until no other process makes `path`, then keep others waiting.

    Args:
        path: in the cache; need not exist.
        reporter: told if there is something to wait for.
        doing: what the other process does then.
    """
    with cache_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.with_name(f".{path.name}.lock").open("w")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.info(f"another process is {doing}: waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:  # some network drives have no locks
            pass
        yield


def require_space(wanted: int, what: str) -> None:
    """Check that the disk has room, before any work.

    Args:
        wanted: bytes still to be written.
        what: needs them, for the message: "100 decoded images of 32x32".

    Raises:
        UserError: it has not.
    """
    folder = cache_folder()
    with cache_errors():
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if wanted + SPARE_BYTES > free:
        held = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
        raise UserError(
            f"{what} take {in_bytes(wanted)}, but {folder} has {in_bytes(free)} free: "
            f"make room (data sets decoded before take {in_bytes(held)} there, and may be "
            f"removed), or {REMEDY}."
        )


def in_bytes(count: float) -> str:
    """Return a number of bytes as people read it, such as "154 MB"."""
    unit, worth = next((u, w) for u, w in UNITS if count >= w or w == 1)
    return f"{count / worth:.3g} {unit}"


UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1))
