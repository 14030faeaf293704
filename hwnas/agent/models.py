"""The model files that a device may fetch: those of the panel, and of the jobs in work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.files import sha256, write_bytes

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


class ModelFiles:
    """A folder of files by hash; what is not in it by its full hash cannot be asked for."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; what an earlier host left there is checked before it is offered."""
        self._folder = folder
        self._known: dict[str, Path] = {}

    def add(self, content: bytes) -> str:
        """Keep a file; return its SHA-256.

        Raises:
            UserError: the folder cannot be written.
        """
        name = sha256(content)
        path = self._folder / name
        if name not in self._known:
            write_bytes(path, content)
            self._known[name] = path
        return name

    def find(self, name: str) -> Path | None:
        """Return where the file of a hash lies, or None."""
        return self._known.get(name)

    def keep_only(self, names: Collection[str]) -> None:
        """Remove all files but some."""
        for name in set(self._known) - set(names):
            self._known.pop(name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        self.keep_only(())
        for path in self._folder.glob("*"):
            path.unlink(missing_ok=True)
        if self._folder.is_dir():
            self._folder.rmdir()
