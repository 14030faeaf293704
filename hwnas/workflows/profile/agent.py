"""`hwnas profile --listen`: a device pulls timing jobs over HTTP and posts what it measured."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.agent.http.address import Certificate, listen, parse_address
from hwnas.agent.model_files import ModelFiles, Workshop
from hwnas.agent.session.demand import PowerWork
from hwnas.agent.wire import Brief
from hwnas.bundle.models import maker_of, room
from hwnas.errors import MissingPackage, UserError
from hwnas.harness import ASKING
from hwnas.profiler.bundled import device_table, protocol_of, setup_of
from hwnas.profiler.clock import network_graphs, panel_graphs
from hwnas.profiler.energy import checked, power_order
from hwnas.profiler.protocol import Profiler
from hwnas.profiler.recording import open_rounds
from hwnas.resources import shipped
from hwnas.workflows.profile.device_clock import DeviceClock
from hwnas.workflows.profile.options import USUAL

try:
    from hwnas.agent.host import Host
except ModuleNotFoundError as error:
    raise MissingPackage(f'--listen needs {error.name}: pip install "hwnas[agent]"') from None

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwnas.bundle.models import Maker
    from hwnas.bundle.results import Power
    from hwnas.device import DeviceProfile
    from hwnas.graph import Graph
    from hwnas.profiler.plan import Plan
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace
    from hwnas.workflows.profile.options import ProfileOptions
    from hwnas.workflows.profile.profiled import Profiled, Profiling

HARNESS = "linux/hwnas_bench.py"


def profile_by_agent(
    profiling: Profiling, address: str, plan: Plan, options: ProfileOptions = USUAL
) -> Profiled:
    """Let a device measure a target, job by job; write the table.

    Args:
        profiling: what is profiled.
        address: where the device comes to: PORT, HOST:PORT or [IPV6]:PORT.
        plan: what is timed.
        options: the certificate, and what is forgotten of an interrupted profile.

    Raises:
        UserError: the address is taken, the workspace cannot be written, the device keeps giving
            wrong results, ...
        MissingPackage: what serves HTTP, or makes the models, is not installed.
    """
    maker = _maker(profiling.profile)
    profiling.require_writable()
    recording = profiling.unfinished(".agent.jsonl")
    log = profiling.workspace / "lut" / "agent.log"
    certificate = _certificate(options)
    _require_room(profiling.workspace, map(profiling.space.graph, plan.networks))
    models = ModelFiles(recording.with_suffix(".models"))
    with (
        closing(listen(*parse_address(address))) as bound,
        Workshop(maker, models) as workshop,
    ):
        brief = _brief(profiling, maker, workshop)
        state, fresh, renew = recording.with_suffix(".json"), options.fresh, options.new_token
        host = Host(state, log, brief, models, profiling.reporter, fresh=fresh, renew=renew)
        with host.listening(bound, certificate):
            _invite(host, certificate, profiling.reporter)
            profiled = _measured(profiling, plan, host, workshop, recording, fresh=fresh)
            host.finish()
    return profiled


def _brief(profiling: Profiling, maker: Maker, workshop: Workshop) -> Brief:
    return Brief(
        setup=setup_of(profiling.profile, profiling.space, maker.form),
        protocol=protocol_of(profiling.profile),
        suffix=maker.suffix,
        panel=workshop.make_all(panel_graphs(profiling.space), profiling.reporter),
    )


def _measured(
    profiling: Profiling,
    plan: Plan,
    host: Host,
    workshop: Workshop,
    recording_file: Path,
    *,
    fresh: bool,
) -> Profiled:
    profile, space, reporter = profiling.profile, profiling.space, profiling.reporter
    hello = host.device()
    told, runtime = hello.device, hello.runtime
    reporter.info(f"device: {told.model}, {told.cpu}, {told.os}, {runtime.name} {runtime.version}")
    profiler = Profiler(profile, space, DeviceClock(host, workshop, space), reporter)
    recording = open_rounds(recording_file, profiler.identity(plan), fresh=fresh)
    if not recording.entries:
        host.session.begin_anew()
    profiler.time_everything(plan, recording)
    table = device_table(
        profile,
        space,
        plan,
        reporter,
        device=told,
        runtime=runtime,
        rounds=recording.entries,
        conditions=host.conditions,
        power=_power(space, plan, host, workshop),
    )
    profiled = profiling.save(table)
    recording.discard()
    return profiled


def _power(space: RcnetSpace, plan: Plan, host: Host, workshop: Workshop) -> Power | None:
    """Ask for the power of what a local profile would measure too."""
    held_out = checked([space.format(arch) for arch in plan.validation])
    models = workshop.make_ahead(network_graphs(space, held_out), lambda made: made).result()
    parts = [str(key) for key in space.lookup_keys()]
    return host.power(PowerWork(tuple(power_order([*parts, *models])), models))


def _invite(host: Host, certificate: Certificate | None, reporter: Reporter) -> None:
    """Say how the device is started; the token is shown here, once."""
    if host.token is None:
        reporter.info(
            f"listening on {host.url}, for the device that was paired before or has the token "
            "that was shown then (--new-token shows a new one)"
        )
        return
    pin = f" --pin {certificate.fingerprint}" if certificate else ""
    reporter.info(
        f"listening on {host.url}. Copy {shipped('export') / HARNESS} to the device, and run "
        f"there:\n  python3 {Path(HARNESS).name} --agent {host.url} --token {host.token}{pin}"
    )


def _maker(profile: DeviceProfile) -> Maker:
    """Return what makes the models, for a target whose harness asks for them."""
    if profile.harness not in ASKING:
        raise UserError(
            f"--listen is for devices that ask for models themselves, and {profile.name} is "
            f"measured through a cable (export/{profile.harness}): use --emit DIR."
        )
    return maker_of(profile)


def _require_room(workspace: Path, graphs: Iterable[Graph]) -> None:
    needed, free = room(workspace / "lut", graphs)
    if free < needed:
        raise UserError(
            f"{workspace} needs about {needed:.1f} GB for models, but {free:.1f} GB are free: "
            "choose another --workspace, or time fewer networks (--networks)."
        )


def _certificate(options: ProfileOptions) -> Certificate | None:
    """Return what TLS needs, checked, or None without TLS."""
    if options.tls_cert is None and options.tls_key is None:
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise UserError("--tls-cert and --tls-key go together.")
    certificate = Certificate(options.tls_cert, options.tls_key)
    certificate.check()
    return certificate
