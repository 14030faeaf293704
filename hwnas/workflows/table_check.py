"""Whether a table describes its target as it is here: asked by search, predict and bench alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.device import describe_host, find_target, is_target
from hwnas.errors import MissingPackage, TableError
from hwnas.targets.backend import backend_here

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter


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
