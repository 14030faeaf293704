"""`hwnas profile`: from a target to a lookup table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import UserError
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


def profile_target(
    profile: DeviceProfile,
    space: RcnetSpace,
    workspace: Path,
    reporter: Reporter,
    *,
    fresh: bool = False,
    require_device: bool = False,
) -> Profiled:
    """Measure the target where it can be measured here, else estimate; write the table.

    Args:
        profile: the target.
        space: the space whose parts are timed.
        workspace: holds lut/.
        reporter: told what happens.
        fresh: do not go on with an interrupted profile.
        require_device: fail rather than estimate.

    Raises:
        UserError: the workspace cannot be written, the runtime is missing, or there is neither
            a device nor anything to estimate from.
    """
    folder = Library(workspace).folder(profile.name, space.name)
    require_writable(folder.parent)
    if profile.local:
        table = _measure(profile, space, workspace, reporter, fresh=fresh)
    elif require_device:
        raise UserError(
            f"{profile.title} is not attached, and this version measures only targets that run "
            "on this machine. Without --require-device an ESTIMATED table is built."
        )
    else:
        from hwnas.profiler.estimated import estimate_table

        table = estimate_table(profile, space)
    save(table, folder)
    return Profiled(table, folder)


def _measure(
    profile: DeviceProfile,
    space: RcnetSpace,
    workspace: Path,
    reporter: Reporter,
    *,
    fresh: bool,
) -> Table:
    from hwnas.profiler.measured import Profiler
    from hwnas.targets.backend import local_backend

    backend = local_backend(profile.runtime, profile.precision, profile.python)
    if backend is None:
        raise UserError(
            f"profiles/{profile.name}.toml says local = true, but runtime {profile.runtime!r} in "
            f"{profile.precision} does not run on this machine."
        )
    partial = workspace / "lut" / ".partial" / f"{profile.name}-{space.name}.jsonl"
    return Profiler(profile, space, backend, reporter).run(partial, fresh=fresh)
