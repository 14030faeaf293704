"""`hwnas profile`: from a target to a lookup table, here or by a device that is another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.device import find_target
from hwnas.errors import Interrupted, UserError
from hwnas.profiler.plan import sized_plan
from hwnas.spaces import find_space
from hwnas.workflows.profile.bundle import Emitted, Ingested, emit, ingest
from hwnas.workflows.profile.profiled import Profiled, Profiling
from hwnas.workflows.profile.this_machine import profile_here
from hwnas.workflows.profile.ways import require_one_way

if TYPE_CHECKING:
    from hwnas.progress import Reporter
    from hwnas.workflows.profile.options import ProfileOptions


def profile(options: ProfileOptions, reporter: Reporter) -> Profiled | Emitted | Ingested:
    """Write a table, or what a device needs for one, or take in what it measured.

    Raises:
        UserError: options that do not go together, no target, and whatever the way that is taken
            raises: `this_machine.profile_here`, `bundle.emit`, `bundle.ingest`,
            `agent.profile_by_agent`.
        Interrupted: Ctrl-C after --fresh, which tells how to go on.
    """
    require_one_way(options)
    if options.ingest is not None:
        return ingest(options.ingest, options, reporter)
    profiling = _profiling(options, reporter)
    if options.emit is not None:
        return emit(profiling, options.emit, networks=options.networks)
    try:
        return _measured(profiling, options)
    except KeyboardInterrupt:
        if not options.fresh:
            raise
        told = "interrupted; the same command without --fresh goes on where it stopped."
        raise Interrupted(told) from None


def _profiling(options: ProfileOptions, reporter: Reporter) -> Profiling:
    name, threads = options.target, options.threads
    if name is None:
        raise UserError("name a device with --target; `hwnas targets` lists those that are known.")
    device = find_target(name)
    if threads is not None and threads != device.threads:
        device = find_target(f"{name}-t{threads}")
    space = find_space(options.space or device.default_space, **options.geometry)
    return Profiling(device, space, options.workspace, reporter)


def _measured(profiling: Profiling, options: ProfileOptions) -> Profiled:
    if options.listen is None:
        return profile_here(profiling, options)
    from hwnas.workflows.profile.agent import profile_by_agent

    plan = sized_plan(profiling.space, options.networks)
    return profile_by_agent(profiling, options.listen, plan, options)
