"""A model as it will lie on disk: one file, or a folder of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.files import new_folder, sha256, write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ITSELF = ""
"""Name of the only file of a model that is no folder."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An exported model.

    Attributes:
        files: content by path within the folder; a single file goes by the name `ITSELF`.
    """

    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if not self.files or (ITSELF in self.files and len(self.files) > 1):
            raise ValueError(f"one file or a folder of named ones, but got {sorted(self.files)}")

    @classmethod
    def single(cls, content: bytes) -> Artifact:
        """Return a model of one file."""
        return cls({ITSELF: content})

    @classmethod
    def read(cls, path: Path) -> Artifact:
        """Return what was written to `path`; raises OSError."""
        if not path.is_dir():
            return cls.single(path.read_bytes())
        inside = (each for each in sorted(path.rglob("*")) if each.is_file())
        return cls({each.relative_to(path).as_posix(): each.read_bytes() for each in inside})

    @property
    def content(self) -> bytes:
        """Bytes of a model of one file."""
        return self.files[ITSELF]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))

    @property
    def sha256(self) -> str:
        """Hex SHA-256: of the file itself, or of a folder's list "digest  path" by path."""
        if ITSELF in self.files:
            return sha256(self.content)
        lines = (f"{sha256(content)}  {name}\n" for name, content in sorted(self.files.items()))
        return sha256("".join(lines).encode())

    def write(self, path: Path) -> None:
        """Write it; what lay at `path` before is replaced as a whole, or not at all.

        Raises:
            UserError: the folder is read-only, the disk is full, ...
        """
        if ITSELF in self.files:
            write_bytes(path, self.content)
            return
        with new_folder(path) as folder:
            for name, content in self.files.items():
                write_bytes(folder / name, content)
