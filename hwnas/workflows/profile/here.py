"""`hwnas profile`: from a target to a lookup table."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.device import describe_host
from hwnas.errors import TableError, UserError
from hwnas.files import require_writable
from hwnas.harness import measure_command
from hwnas.lut.library import Library
from hwnas.lut.storage import load, save

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.profiler.energy import PowerSource
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace
    from hwnas.targets.backend import Backend


@dataclass(frozen=True, slots=True)
class MeterLog:
    """The log of an external power meter.

    Attributes:
        path: CSV; may appear while the profile runs, or after it.
        offset_s: added to its timestamps.
        block_s: seconds that each part runs for the meter, or None for the default.
    """

    path: Path
    offset_s: float = 0.0
    block_s: float | None = None


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
    meter_log: MeterLog | None = None,
) -> Profiled:
    """Measure the target where it can be measured here, else estimate; write the table.

    Args:
        profile: the target.
        space: the space whose parts are timed.
        workspace: holds lut/.
        reporter: told what happens.
        fresh: do not go on with an interrupted profile.
        require_device: fail rather than estimate.
        meter_log: of an external power meter.

    Raises:
        UserError: the workspace cannot be written, the runtime is missing, or there is neither
            a device nor anything to estimate from.
    """
    library = Library(workspace)
    folder = library.folder(profile.name, space.name)
    if profile.local:
        measuring = _Measuring(profile, space, workspace, reporter, _backend_of(profile))
        require_writable(folder.parent)
        table = measuring.run(folder, fresh=fresh, meter_log=meter_log)
    elif meter_log is not None:
        raise UserError(
            f"--power-log needs parts that run on this machine, but {profile.title} is another one."
        )
    elif require_device:
        partial = library.unfinished(profile.name, space.name, ".jsonl")
        table = _attached(profile, space, reporter, partial, fresh=fresh)
    else:
        from hwnas.profiler.estimated import estimate_table

        require_writable(folder.parent)
        table = estimate_table(profile, space)
    save(table, folder)
    return Profiled(table, folder)


def _attached(
    profile: DeviceProfile, space: RcnetSpace, reporter: Reporter, partial: Path, *, fresh: bool
) -> Table:
    """Measure a device that this machine itself reaches: an iPhone, from a Mac.

    Raises:
        UserError: there is none, or none of this kind is reached.
    """
    how = measure_command(profile.name, profile.harness)
    if (profile.harness, profile.export_format) != ("ios", "mlprogram"):
        raise UserError(f"{profile.title} is another machine. Measure it: {how}")
    from hwnas.bundle.models import maker_of
    from hwnas.profiler.phone_clock import PhoneClock
    from hwnas.profiler.protocol import Profiler
    from hwnas.targets.apple.benchmarker import attached_phone

    maker = maker_of(profile)
    phone = attached_phone(profile.compute_units, how)
    reporter.warn(
        "a phone at the cable rests for seconds between two runs, which may make them slower than "
        f"in an app, and a profile takes many hours. The app does it better: {how}"
    )
    with closing(phone):
        clock = PhoneClock(space, maker, phone)
        return Profiler(profile, space, clock, reporter).run(partial, fresh=fresh)


@dataclass(frozen=True, slots=True)
class _Measuring:
    """A target that runs on this machine, and where its table goes."""

    profile: DeviceProfile
    space: RcnetSpace
    workspace: Path
    reporter: Reporter
    backend: Backend

    def run(self, folder: Path, *, fresh: bool, meter_log: MeterLog | None) -> Table:
        """Measure everything, or only what an earlier profile left unstable."""
        finished = None if fresh or meter_log else self._finished(folder)
        if finished is None:
            return self._everything(fresh=fresh, meter_log=meter_log)
        unstable = sum(row.unstable for row in finished.rows.values())
        if not unstable:
            self.reporter.info(
                f"{folder} was measured here on {finished.meta['created']} and none of its parts "
                "is unstable: nothing to do. --fresh measures everything again."
            )
            return finished
        from hwnas.profiler.refit import replace_unstable

        self.reporter.info(
            f"{unstable} of {len(finished.rows)} parts of {folder} are unstable: only they are "
            "replaced. --fresh measures everything again."
        )
        partial = self._partial.with_suffix(".parts.jsonl")
        return replace_unstable(finished, self.profile, self.backend, self.reporter, partial)

    @property
    def _partial(self) -> Path:
        library = Library(self.workspace)
        return library.unfinished(self.profile.name, self.space.name, ".jsonl")

    def _finished(self, folder: Path) -> Table | None:
        """Return the table that an earlier profile of the same set-up made, if there is one."""
        if self._partial.exists() or not folder.is_dir():
            return None
        try:
            table = load(folder)
        except TableError:
            return None
        made = {
            "source": "measured",
            "device": describe_host(),
            "runtime": {"name": self.backend.name, "version": self.backend.version()},
            "precision": self.profile.precision,
            "threads": self.profile.threads,
        }
        same = all(table.meta[name] == value for name, value in made.items())
        return table if same and table.calibration else None

    def _everything(self, *, fresh: bool, meter_log: MeterLog | None) -> Table:
        from hwnas.profiler.clock import LocalClock
        from hwnas.profiler.energy import EnergyProfiler
        from hwnas.profiler.protocol import Profiler

        power = power_source(self.profile, meter_log, self.reporter)
        path = self._partial.with_suffix(".power.jsonl")

        def with_energies(table: Table) -> Table:
            if power is None:
                return table
            energies = EnergyProfiler(self.profile, self.backend, power, self.reporter)
            return energies.complete(table, path, fresh=fresh)

        clock = LocalClock(self.space, self.backend, self.profile.threads)
        profiler = Profiler(self.profile, self.space, clock, self.reporter)
        return profiler.run(self._partial, fresh=fresh, finish=with_energies)


def _backend_of(profile: DeviceProfile) -> Backend:
    """Return what runs the target here, installed and ready."""
    from hwnas.targets.backend import local_backend

    backend = local_backend(profile.runtime, profile.precision, profile.python)
    if backend is None:
        raise UserError(
            f"profiles/{profile.name}.toml says local = true, but {profile.runtime!r} in "
            f"{profile.precision} does not run on this machine."
        )
    backend.version()
    return backend


def power_source(
    profile: DeviceProfile, meter_log: MeterLog | None, reporter: Reporter, root: Path | None = None
) -> PowerSource | None:
    """Return what tells the power: the meter's log, else a counter of this machine, else None.

    A counter that is there but cannot be used is told once.

    Args:
        profile: the target.
        meter_log: of an external power meter.
        reporter: told what cannot be used.
        root: /sys/class, unless in a test.

    Raises:
        UserError: the log is there and not right, or a sensor that the profile names is missing.
    """
    from hwnas.energy.counter import SYSFS, survey
    from hwnas.energy.log import check_log
    from hwnas.profiler.energy import PowerSource, table_energy

    if meter_log is not None:
        power = PowerSource(
            log=meter_log.path, offset_s=meter_log.offset_s, block_s=meter_log.block_s
        )
        check_log(meter_log.path, power.seconds)
        return power
    found = survey(root or SYSFS, profile.power_sensors)
    if found.counters:
        return PowerSource(found.counters[0])
    for problem in found.unusable:
        reporter.info(f"energy is {table_energy(profile)}: {problem}")
    return None
