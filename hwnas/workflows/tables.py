"""Which target and table a command means, and whether the table describes what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.device import describe_host, find_target, is_target
from hwnas.errors import MissingPackage, TableError
from hwnas.spaces import RcnetSpace, find_space
from hwnas.targets.backend import backend_here

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.lut.library import Library
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter


def choose(
    library: Library, target: str | None, space: str | None, geometry: dict[str, Any]
) -> tuple[str | None, RcnetSpace]:
    """Return target and space: as given, else those of the newest table of the workspace."""
    latest = library.latest()
    if target is None and latest is not None and space in (None, latest[1]):
        target = latest[0]
    if space is None:
        space = _default_space(library, target, latest)
    return target, find_space(space, **geometry)


def _default_space(library: Library, target: str | None, latest: tuple[str, str] | None) -> str:
    if latest is not None and target in (None, latest[0]):
        return latest[1]
    if target is None:
        return "rcnet-imagenet"
    spaces = [s for t, s in library.names() if t == target]
    default = find_target(target).default_space
    return default if default in spaces or not spaces else spaces[0]


def check_table(table: Table, reporter: Reporter, *, strict: bool = False) -> None:
    """Refuse a table of another set-up, and warn of what weakens it.

    Args:
        table: a whole and undamaged one.
        reporter: told in one line what differs from the machine and runtime here.
        strict: refuse a table that failed its held-out check, instead of warning.

    Raises:
        TableError: it was made with another runtime, precision or number of threads than the
            target's profile says, or failed its check and `strict` holds.
    """
    profile = find_target(table.target) if is_target(table.target) else None
    if profile is not None:
        _require_same_setup(table, profile)
    failures = [] if table.estimated else table.meta["validation"]["failures"]
    if failures:
        failed = f"the table of {table.target} failed its held-out check ({'; '.join(failures)})"
        again = f"Measure again on an idle machine ({table.remedy} --fresh)"
        if strict:
            raise TableError(f"{failed}. {again}, or add --force.")
        reporter.warn(f"{failed}. {again}.")
    if profile is not None and profile.local and table.meta["source"] == "measured":
        _warn_of_another_machine(table, profile, reporter)


def _require_same_setup(table: Table, profile: DeviceProfile) -> None:
    made = {
        "runtime": table.meta["runtime"]["name"],
        "precision": table.meta["precision"],
        "threads": table.meta["threads"],
    }
    if "compute_units" in table.meta:
        made["compute_units"] = table.meta["compute_units"]
    differences = [
        f"{name} {value}, not {getattr(profile, name)}"
        for name, value in made.items()
        if value != getattr(profile, name)
    ]
    if differences:
        raise TableError(
            f"the table of {table.target} for {table.space.name} was made with "
            f"{'; '.join(differences)} as its profile says: it does not describe this target. "
            f"Build it again: {table.remedy}"
        )


def _warn_of_another_machine(table: Table, profile: DeviceProfile, reporter: Reporter) -> None:
    there = table.meta["device"].get("cpu"), table.meta["runtime"]["version"]
    here = describe_host()["cpu"], _runtime_version(profile)
    names = "cpu", profile.runtime
    changed = [
        f"{name} {old}, here {new}"
        for name, old, new in zip(names, there, here, strict=True)
        if new is not None and old != new
    ]
    if changed:
        reporter.warn(
            f"{table.target}: the table was measured elsewhere ({'; '.join(changed)}). Latencies "
            f"may differ; measure here: {table.remedy}"
        )


def _runtime_version(profile: DeviceProfile) -> str | None:
    """Return the version that is installed here, or None when there is none."""
    backend = backend_here(profile)
    try:
        return None if backend is None else backend.version()
    except MissingPackage:
        return None
