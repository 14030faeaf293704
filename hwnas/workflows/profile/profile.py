"""`hwnas profile`: from a target to a lookup table, here or by a device that is another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.device import find_target
from hwnas.errors import Interrupted, UserError
from hwnas.options import given
from hwnas.profiler.plan import sized_plan
from hwnas.spaces import find_space
from hwnas.workflows.profile.bundle import Emitted, Ingested, emit, ingest
from hwnas.workflows.profile.profiled import Profiled, Profiling
from hwnas.workflows.profile.this_machine import profile_here

if TYPE_CHECKING:
    from hwnas.progress import Reporter
    from hwnas.workflows.profile.options import ProfileOptions

HERE, EMIT, INGEST, LISTEN = "", "--emit", "--ingest", "--listen"
"""By this machine alone, and those with a device that is not this machine."""

VALUES = {EMIT: "--emit DIR", LISTEN: "--listen PORT", "--power-log": "--power-log CSV"}

MEANS_SOMETHING: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("--space", "--input", "--classes", "--width", "--threads"), frozenset({HERE, EMIT, LISTEN})
    ),
    "--networks": frozenset({EMIT, LISTEN}),
    **dict.fromkeys(("--tls-cert", "--tls-key", "--new-token"), frozenset({LISTEN})),
    **dict.fromkeys(
        ("--require-device", "--power-log", "--power-offset", "--power-block"), frozenset({HERE})
    ),
}
"""The ways that take an option; those that are not listed go with all."""

NEEDS = {"--power-offset": "--power-log", "--power-block": "--power-log"}
"""Options that say something about another one."""


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


def require_one_way(options: ProfileOptions) -> None:
    """Refuse options that contradict each other, or that would be ignored.

    Raises:
        UserError: the first ones that do not go together.
    """
    names = list(given(options))
    ways = [name for name in names if name in (EMIT, INGEST, LISTEN)]
    if len(ways) > 1:
        raise UserError("--emit, --ingest and --listen are three ways: give one of them.")
    (way,) = ways or [HERE]
    for name in names:
        taken = MEANS_SOMETHING.get(name)
        if taken is not None and way not in taken:
            raise UserError(_refusal(name, way, taken))
        if (needed := NEEDS.get(name)) is not None and needed not in names:
            raise UserError(f"{name} needs {VALUES[needed]}.")


def _refusal(name: str, way: str, taken: frozenset[str]) -> str:
    if way == HERE:
        return f"{name} needs {' or '.join(VALUES[each] for each in sorted(taken))}."
    if taken == {HERE}:
        return f"{name} is for what this machine measures itself, not for {way}: leave out one."
    return f"{name} says nothing with {way}: leave it out."
