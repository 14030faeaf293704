"""`hwnas targets`: what devices are known, how each is measured, and which tables there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.device import find_target, is_target, target_names
from hwnas.lut.library import Library

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.workflows.targets.options import TargetsOptions


def targets(options: TargetsOptions) -> list[dict[str, Any]]:
    """Return every known target with its tables, as JSON."""
    library = Library(options.workspace)
    known = library.names()
    names = {*target_names(), *(target for target, _ in known if is_target(target))}
    return [
        _described(
            find_target(name),
            [library.find(name, space) for target, space in known if target == name],
        )
        for name in sorted(names)
    ]


def _described(profile: DeviceProfile, tables: list[Table]) -> dict[str, Any]:
    command = f"hwnas profile --target {profile.name}"
    return {
        "target": profile.name,
        "title": profile.title,
        "runtime": profile.runtime,
        "precision": profile.precision,
        "threads": profile.threads,
        "local": profile.local,
        "harness": None if profile.local else profile.harness,
        "measure": command if profile.local else f"{command} --emit DIR",
        "tables": [_table(table) for table in tables],
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "space": table.space.name,
        "source": table.label,
        "created": table.meta["created"],
        "device": None if table.estimated else _device_name(table),
        "validation": table.meta["validation"],
    }


def _device_name(table: Table) -> str:
    """Return which device a table was measured on."""
    device = table.meta["device"]
    names = (device.get(name) for name in ("model", "cpu", "title"))
    return next((name for name in names if name and name != "unknown"), table.target)
