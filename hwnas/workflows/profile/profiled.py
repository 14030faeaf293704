"""A profile in the making, and the table that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.files import require_writable
from hwnas.lut.library import Library
from hwnas.lut.storage import save

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace


@dataclass(frozen=True, slots=True)
class Profiled:
    """A new table and where it was written."""

    table: Table
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it."""
        table, meta = self.table, self.table.meta
        return {
            "target": table.target,
            "space": table.space.name,
            "folder": str(self.folder),
            "rows": len(table.rows),
            "source": meta["source"],
            "validation": meta["validation"],
            "energy_source": meta["energy_source"],
            "energy": meta.get("energy"),
            "anchors": meta.get("anchors"),
            "uncertainty_95pct": meta.get("uncertainty_95pct"),
            "left_out_errors": meta.get("left_out_errors"),
        }


@dataclass(frozen=True, slots=True)
class Profiling:
    """What a table is made for.

    Attributes:
        profile: the target.
        space: the space whose parts are timed.
        workspace: holds lut/.
        reporter: told what happens.
    """

    profile: DeviceProfile
    space: RcnetSpace
    workspace: Path
    reporter: Reporter

    @property
    def folder(self) -> Path:
        """Where the table goes."""
        return Library(self.workspace).folder(self.profile.name, self.space.name)

    def unfinished(self, suffix: str) -> Path:
        """Return a file that keeps what is measured until the table is complete."""
        return Library(self.workspace).unfinished(self.profile.name, self.space.name, suffix)

    def require_writable(self) -> None:
        """Raise UserError unless a table can be written."""
        require_writable(self.folder.parent)

    def save(self, table: Table) -> Profiled:
        """Write the table."""
        save(table, self.folder)
        return Profiled(table, self.folder)
