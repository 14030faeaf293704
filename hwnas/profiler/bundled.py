"""A profile that is taken to a device as files, and comes back as files."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hwnas import __version__
from hwnas.bundle.manifest import MANIFEST_FILE, Manifest, NetworkPlan, Protocol, Setup
from hwnas.bundle.write import identity, require_free, require_room, write_models
from hwnas.files import new_folder, write_text
from hwnas.profiler.clock import Place, network_graphs, panel_graphs
from hwnas.profiler.energy import Powers, checked, describe, power_order, with_energies
from hwnas.profiler.measured import measured_table
from hwnas.profiler.plan import Plan
from hwnas.profiler.tables import now
from hwnas.profiler.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.bundle.models import Maker
    from hwnas.bundle.results import Conditions, Device, Power, Runtime
    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.profiler.recording import TimedRound
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace


def setup_of(profile: DeviceProfile, space: RcnetSpace, form: str) -> Setup:
    """Return what decides a time on a target beside the model."""
    return Setup.model_validate(
        {
            "target": profile.name,
            "space": space.name,
            "runtime": profile.runtime,
            "format": form,
            "precision": profile.precision,
            "threads": profile.threads,
            "compute_units": profile.compute_units,
        }
    )


def emit_bundle(
    folder: Path,
    profile: DeviceProfile,
    space: RcnetSpace,
    plan: Plan,
    maker: Maker,
    reporter: Reporter,
) -> Manifest:
    """Write the bundle of a plan, whole or not at all; one that is there and unused is replaced.

    Raises:
        UserError: the place cannot be written, is taken, or has too little room.
    """
    panel = panel_graphs(space)
    calibration = tuple(map(space.format, plan.calibration))
    held_out = tuple(map(space.format, plan.validation))
    graphs = panel | network_graphs(space, (*calibration, *held_out))
    parts = [str(key) for key in space.lookup_keys()]
    require_free(folder)
    require_room(folder, graphs)
    with new_folder(folder) as temporary:
        draft = Manifest(
            bundle="-",
            created=now(),
            hwnas=__version__,
            geometry=dataclasses.asdict(space),
            setup=setup_of(profile, space, maker.form),
            protocol=protocol_of(profile),
            plan=NetworkPlan(
                calibration=calibration,
                validation=held_out,
                passes=plan.passes,
                batch=plan.batch,
                rounds=plan.rounds,
            ),
            panel=tuple(panel),
            models=write_models(temporary, graphs, maker, reporter),
            suffix=maker.suffix,
            jobs=tuple(plan.jobs(space)),
            power=tuple(power_order([*parts, *checked(held_out)])),
        )
        manifest = draft.model_copy(update={"bundle": identity(draft)})
        write_text(temporary / MANIFEST_FILE, manifest.model_dump_json(by_alias=True, indent=1))
    return manifest


def protocol_of(profile: DeviceProfile) -> Protocol:
    """Return how a target is timed: like this machine, with what its profile adds."""
    return Protocol(hottest_c=profile.hottest_c, cool_down_s=profile.cool_down_s)


def plan_of(manifest: Manifest, space: RcnetSpace) -> Plan:
    """Return the plan that a manifest was made of."""
    plan = manifest.plan
    return Plan(
        calibration=tuple(map(space.parse, plan.calibration)),
        validation=tuple(map(space.parse, plan.validation)),
        passes=plan.passes,
        batch=plan.batch,
        rounds=plan.rounds,
    )


def device_table(
    profile: DeviceProfile,
    space: RcnetSpace,
    plan: Plan,
    reporter: Reporter,
    *,
    device: Device,
    runtime: Runtime,
    rounds: Sequence[TimedRound],
    conditions: Sequence[Conditions],
    power: Power | None,
) -> Table:
    """Return the table that the measurements of a device support.

    Args:
        profile: the target.
        space: what was timed.
        plan: which networks correct the parts, and which check the result.
        reporter: is told what weakens it.
        device: what it is.
        runtime: who ran the models.
        rounds: in order of time.
        conditions: how it was before and after each job.
        power: if a counter could be read.
    """
    timings, place = Timings.of(space, plan, rounds), device_place(device, runtime, conditions)
    table = measured_table(profile, space, plan, timings, place, reporter)
    meta = {**table.meta, "harness": runtime.harness, "conditions": summary(conditions)}
    table = dataclasses.replace(table, meta=meta)
    if power is None:
        return table
    blocks = power.blocks
    measured = Powers.of([block.name for block in blocks], [block.watts for block in blocks])
    return with_energies(table, measured, describe(measured, power.counter, power.seconds))


def device_place(device: Device, runtime: Runtime, conditions: Sequence[Conditions]) -> Place:
    """Return where something was timed, as tables tell it."""
    told = {name: str(value) for name, value in device.model_dump().items()}
    hottest = summary(conditions)["hottest_c"]
    warmth = "not readable" if hottest is None else f"{hottest:.0f} C"
    return Place(told, runtime.version, warmth)


def summary(conditions: Sequence[Conditions]) -> dict[str, float | int | bool | None]:
    """Return how warm a device became, and whether it held its clock down."""

    def known(name: str) -> list[float]:
        return [value for each in conditions if (value := getattr(each, name)) is not None]

    return {
        "hottest_c": max(known("temperature_c"), default=None),
        "throttled": any(known("throttled")) if known("throttled") else None,
        "slowest_mhz": min(known("cpu_mhz"), default=None),
        "lowest_battery_percent": min(known("battery_percent"), default=None),
    }
