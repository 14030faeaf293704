"""Finding tables: the workspace's own first, then HWNAS_HOME, then the shipped ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hwnas.device import is_target, target_names
from hwnas.errors import TableError, one_of
from hwnas.lut.storage import load
from hwnas.lut.table import Table, profile_command
from hwnas.resources import shipped


@dataclass(frozen=True, slots=True)
class Library:
    """All tables that a command can see from `workspace`."""

    workspace: Path

    @property
    def own(self) -> Path:
        """The folder that new tables are written to."""
        return self.workspace / "lut"

    def folder(self, target: str, space: str) -> Path:
        """Return the place of a table that is to be written."""
        return self.own / target / space

    def unfinished(self, target: str, space: str, suffix: str) -> Path:
        """Return the file that keeps what is measured until such a table, or check, is complete."""
        return self.own / ".partial" / f"{target}-{space}{suffix}"

    def find(self, target: str, space: str) -> Table:
        """Return the table of a target for a space.

        Raises:
            UserError: unknown target.
            TableError: no such table, or a damaged one.
        """
        if (folder := self.locate(target, space)) is not None:
            table = load(folder)
            if (table.target, table.space.name) == (target, space):
                return table
            raise TableError(  # it was copied from another device or space
                f"{folder} holds the table of {table.target} for {table.space.name}, not of "
                f"{target} for {space}. Build the right one: {profile_command(target, space)}"
            )
        if not is_target(target):
            raise one_of("target", target, target_names())
        known = [f"{t} / {s}" for t, s in self.names() if t == target]
        beside = f" (there are tables for {', '.join(known)})" if known else ""
        raise TableError(
            f"no lookup table of {target} for {space}{beside}. Build it: "
            f"{profile_command(target, space)}"
        )

    def locate(self, target: str, space: str) -> Path | None:
        """Return the folder of the table that `find` reads, damaged or not, or None."""
        folders = (root / target / space for root in self._roots())
        return next((folder for folder in folders if folder.is_dir()), None)

    def names(self) -> list[tuple[str, str]]:
        """Return (target, space) of every table, without reading them."""
        found = {
            (meta.parent.parent.name, meta.parent.name)
            for root in self._roots()
            for meta in root.glob("*/*/meta.json")
        }
        return sorted(found)

    def latest(self, space: str = "*") -> tuple[str, str] | None:
        """Return (target, space) of the newest table of the workspace itself, if there is one.

        Args:
            space: only tables for this one.
        """
        found = self.own.glob(f"*/{space}/meta.json")
        metas = sorted(found, key=lambda meta: meta.stat().st_mtime_ns)
        return (metas[-1].parent.parent.name, metas[-1].parent.name) if metas else None

    def _roots(self) -> list[Path]:
        roots = [self.own]
        if home := os.environ.get("HWNAS_HOME"):
            roots.append(Path(home) / "lut")
        return [*roots, shipped("lut")]
