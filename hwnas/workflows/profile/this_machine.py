"""A table of what runs on this machine or at its cable, or an estimate without any device."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from hwnas.device import describe_host
from hwnas.errors import TableError, UserError
from hwnas.harness import measure_command
from hwnas.lut.storage import load
from hwnas.workflows.profile.options import USUAL

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.energy.counter import Counter
    from hwnas.energy.log import MeterLog
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.targets.backend import Backend
    from hwnas.workflows.profile.options import ProfileOptions
    from hwnas.workflows.profile.profiled import Profiled, Profiling


def profile_here(profiling: Profiling, options: ProfileOptions = USUAL) -> Profiled:
    """Measure the target where it can be measured here, else estimate; write the table.

    Args:
        profiling: what is profiled.
        options: whether to go on, to estimate, and to read a power meter.

    Raises:
        UserError: the workspace cannot be written, the runtime is missing, or there is neither
            a device nor anything to estimate from.
    """
    profile = profiling.profile
    if profile.local:
        backend = _backend_of(profile)
        profiling.require_writable()
        table = _measured(profiling, backend, options)
    elif options.power_log is not None:
        raise UserError(
            f"--power-log needs parts that run on this machine, but {profile.title} is another one."
        )
    elif options.require_device:
        table = _attached(profiling, fresh=options.fresh)
    else:
        from hwnas.profiler.estimated import estimate_table

        profiling.require_writable()
        table = estimate_table(profile, profiling.space)
    return profiling.save(table)


def _attached(profiling: Profiling, *, fresh: bool) -> Table:
    """Measure a device that this machine itself reaches: an iPhone, from a Mac."""
    profile, space, reporter = profiling.profile, profiling.space, profiling.reporter
    how = measure_command(profile.name, profile.harness)
    if (profile.harness, profile.export_format) != ("ios", "mlprogram"):
        raise UserError(f"{profile.title} is another machine. Measure it: {how}")
    from hwnas.bundle.models import maker_of
    from hwnas.profiler.clock import PhoneClock
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
        profiler = Profiler(profile, space, clock, reporter)
        return profiler.run(profiling.unfinished(".jsonl"), fresh=fresh)


def _measured(profiling: Profiling, backend: Backend, options: ProfileOptions) -> Table:
    """Measure everything, or only what an earlier profile left unstable."""
    anew = options.fresh or options.power_log is not None
    finished = None if anew else _finished(profiling, backend)
    if finished is None:
        return _everything(profiling, backend, options)
    folder, reporter = profiling.folder, profiling.reporter
    unstable = sum(row.unstable for row in finished.rows.values())
    if not unstable:
        reporter.info(
            f"{folder} was measured here on {finished.meta['created']} and none of its parts "
            "is unstable: nothing to do. --fresh measures everything again."
        )
        return finished
    from hwnas.profiler.refit import replace_unstable

    reporter.info(
        f"{unstable} of {len(finished.rows)} parts of {folder} are unstable: only they are "
        "replaced. --fresh measures everything again."
    )
    partial = profiling.unfinished(".parts.jsonl")
    return replace_unstable(finished, profiling.profile, backend, reporter, partial)


def _finished(profiling: Profiling, backend: Backend) -> Table | None:
    """Return the table that an earlier profile of the same set-up made, if there is one."""
    if profiling.unfinished(".jsonl").exists() or not profiling.folder.is_dir():
        return None
    try:
        table = load(profiling.folder)
    except TableError:
        return None
    made = {
        "source": "measured",
        "device": describe_host(),
        "runtime": {"name": backend.name, "version": backend.version()},
        "precision": profiling.profile.precision,
        "threads": profiling.profile.threads,
    }
    same = all(table.meta[name] == value for name, value in made.items())
    return table if same and table.calibration else None


def _everything(profiling: Profiling, backend: Backend, options: ProfileOptions) -> Table:
    from hwnas.profiler.clock import LocalClock
    from hwnas.profiler.energy import EnergyProfiler
    from hwnas.profiler.protocol import Profiler

    profile, space, reporter = profiling.profile, profiling.space, profiling.reporter
    power, fresh = power_source(profile, options, reporter), options.fresh

    def with_energies(table: Table) -> Table:
        if power is None:
            return table
        energies = EnergyProfiler(profile, backend, power, reporter)
        return energies.complete(table, profiling.unfinished(".power.jsonl"), fresh=fresh)

    clock = LocalClock(space, backend, profile.threads)
    profiler = Profiler(profile, space, clock, reporter)
    return profiler.run(profiling.unfinished(".jsonl"), fresh=fresh, finish=with_energies)


def _backend_of(profile: DeviceProfile) -> Backend:
    """Return what runs the target here, installed and ready."""
    from hwnas.targets.backend import backend_here

    backend = backend_here(profile)
    if backend is None:
        raise UserError(
            f"profiles/{profile.name}.toml says local = true, but {profile.runtime!r} in "
            f"{profile.precision} does not run on this machine."
        )
    backend.version()
    return backend


def power_source(
    profile: DeviceProfile, options: ProfileOptions, reporter: Reporter, root: Path | None = None
) -> Counter | MeterLog | None:
    """Return what tells the power: the meter's log, else a counter of this machine, else None.

    A counter that is there but cannot be used is told once.

    Args:
        profile: the target.
        options: where the log of an external power meter is.
        reporter: told what cannot be used.
        root: /sys/class, unless in a test.

    Raises:
        UserError: the log is there and not right, or a sensor that the profile names is missing.
    """
    from hwnas.energy.counter import SYSFS, survey
    from hwnas.energy.log import BLOCK_S, MeterLog, check_log
    from hwnas.profiler.energy import table_energy

    if options.power_log is not None:
        block_s = options.power_block or BLOCK_S
        check_log(options.power_log, block_s)
        return MeterLog(options.power_log, options.power_offset, block_s)
    found = survey(root or SYSFS, profile.power_sensors)
    if found.counters:
        return found.counters[0]
    for problem in found.unusable:
        reporter.info(f"energy is {table_energy(profile)}: {problem}")
    return None
