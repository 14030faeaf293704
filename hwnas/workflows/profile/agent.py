"""`hwnas profile --listen`: a device pulls timing jobs over HTTP and posts what it measured."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.agent.address import Certificate, Listen
from hwnas.agent.models import ModelFiles
from hwnas.agent.work import Brief, PowerWork
from hwnas.agent.workshop import Workshop, require_room
from hwnas.bundle.models import maker_of
from hwnas.errors import MissingPackage, UserError
from hwnas.files import require_writable
from hwnas.harness import ASKING
from hwnas.lut.library import Library
from hwnas.lut.storage import save
from hwnas.profiler.bundled import FromDevice, device_table, protocol_of, setup_of
from hwnas.profiler.clock import network_graphs, panel_graphs
from hwnas.profiler.energy import checked, power_order
from hwnas.profiler.plan import make_plan
from hwnas.profiler.protocol import Profiler
from hwnas.profiler.recording import open_rounds
from hwnas.resources import shipped
from hwnas.workflows.profile.device_clock import DeviceClock
from hwnas.workflows.profile.here import Profiled

try:
    from hwnas.agent.host import Files, Host
except ModuleNotFoundError as error:
    raise MissingPackage(f'--listen needs {error.name}: pip install "hwnas[agent]"') from None

if TYPE_CHECKING:
    from hwnas.agent.limits import Limits
    from hwnas.bundle.models import Maker
    from hwnas.bundle.results import Power
    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Table
    from hwnas.profiler.plan import Plan
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace

HARNESS = "linux/hwnas_bench.py"


@dataclass(frozen=True, slots=True)
class Door:
    """Where a device finds the host.

    Attributes:
        address: PORT, HOST:PORT or [IPV6]:PORT.
        cert: for TLS, PEM.
        key: of the certificate.
        new_token: show a new pairing token; the old one is no longer good.
        limits: of requests; None: the usual ones.
    """

    address: str
    cert: Path | None = None
    key: Path | None = None
    new_token: bool = False
    limits: Limits | None = None


def profile_by_agent(
    profile: DeviceProfile,
    space: RcnetSpace,
    workspace: Path,
    reporter: Reporter,
    door: Door,
    *,
    fresh: bool = False,
    plan: Plan | None = None,
) -> Profiled:
    """Let a device measure a target, job by job; write the table.

    Args:
        profile: the target.
        space: the space whose parts are timed.
        workspace: holds lut/.
        reporter: told what happens.
        door: where the device comes to.
        fresh: forget an interrupted profile, and its device.
        plan: what is timed; None: what is usual.

    Raises:
        UserError: the address is taken, the workspace cannot be written, the device keeps giving
            wrong results, ...
        MissingPackage: what serves HTTP, or makes the models, is not installed.
    """
    maker = _maker(profile)
    plan = plan or make_plan(space)
    return _Measuring(profile, space, workspace, reporter, plan, maker).run(door, fresh=fresh)


@dataclass(frozen=True, slots=True)
class _Measuring:
    """A profile by a device, and where its files go."""

    profile: DeviceProfile
    space: RcnetSpace
    workspace: Path
    reporter: Reporter
    plan: Plan
    maker: Maker

    def run(self, door: Door, *, fresh: bool) -> Profiled:
        """Listen, measure, write the table, and tell the device that it is done."""
        folder = Library(self.workspace).folder(self.profile.name, self.space.name)
        require_writable(folder.parent)
        files, certificate = self._files, _certificate(door)
        require_room(files.models, network_graphs(self.space, self.plan.networks))
        models = ModelFiles(files.models)
        with (
            closing(Listen.parse(door.address).bind()) as bound,
            Workshop(self.maker, models) as workshop,
        ):
            brief = self._brief(workshop)
            host = Host(files, brief, models, self.reporter, fresh=fresh, renew=door.new_token)
            with host.listening(bound, certificate, door.limits):
                self._invite(host, certificate)
                table = self._measure(host, workshop, folder, fresh=fresh)
                host.finish()
        return Profiled(table, folder)

    def _measure(self, host: Host, workshop: Workshop, folder: Path, *, fresh: bool) -> Table:
        hello = host.device()
        told, runtime = hello.device, hello.runtime
        self.reporter.info(
            f"device: {told.model}, {told.cpu}, {told.os}, {runtime.name} {runtime.version}"
        )
        clock = DeviceClock(host, workshop, self.space)
        profiler = Profiler(self.profile, self.space, clock, self.reporter)
        recording = open_rounds(self._recording, profiler.identity(self.plan), fresh=fresh)
        if not recording.entries:
            host.begin_anew()
        profiler.time_everything(self.plan, recording)
        found = FromDevice(
            device=told,
            runtime=runtime,
            rounds=recording.entries,
            conditions=host.conditions,
            power=self._power(host, workshop),
        )
        table = device_table(self.profile, self.space, self.plan, found, self.reporter)
        save(table, folder)
        recording.discard()
        return table

    def _power(self, host: Host, workshop: Workshop) -> Power | None:
        """Ask for the power of what a local profile would measure too."""
        networks = [self.space.parse(name) for name in checked(self._held_out)]
        graphs = network_graphs(self.space, networks)
        models = workshop.make_ahead(graphs, lambda made: made).result()
        parts = [str(key) for key in self.space.lookup_keys()]
        return host.power(PowerWork(tuple(power_order([*parts, *models])), models))

    @property
    def _held_out(self) -> list[str]:
        return [self.space.format(arch) for arch in self.plan.validation]

    def _brief(self, workshop: Workshop) -> Brief:
        return Brief(
            setup=setup_of(self.profile, self.space, self.maker.form),
            protocol=protocol_of(self.profile),
            suffix=self.maker.suffix,
            panel=workshop.make_all(panel_graphs(self.space), self.reporter),
        )

    @property
    def _recording(self) -> Path:
        library = Library(self.workspace)
        return library.unfinished(self.profile.name, self.space.name, ".agent.jsonl")

    @property
    def _files(self) -> Files:
        return Files(
            state=self._recording.with_suffix(".json"),
            models=self._recording.with_suffix(".models"),
            log=self.workspace / "lut" / "agent.log",
        )

    def _invite(self, host: Host, certificate: Certificate | None) -> None:
        """Say how the device is started; the token is shown here, once."""
        if host.token is None:
            self.reporter.info(
                f"listening on {host.url}, for the device that was paired before or has the token "
                "that was shown then (--new-token shows a new one)"
            )
            return
        pin = f" --pin {certificate.fingerprint}" if certificate else ""
        self.reporter.info(
            f"listening on {host.url}. Copy {shipped('export') / HARNESS} to the device, and run "
            f"there:\n  python3 {Path(HARNESS).name} --agent {host.url} --token {host.token}{pin}"
        )


def _maker(profile: DeviceProfile) -> Maker:
    """Return what makes the models.

    Raises:
        UserError: the target's harness does not ask for models.
        MissingPackage: what makes or checks them is not installed.
    """
    if profile.harness not in ASKING:
        raise UserError(
            f"--listen is for devices that ask for models themselves, and {profile.name} is "
            f"measured through a cable (export/{profile.harness}): use --emit DIR."
        )
    return maker_of(profile)


def _certificate(door: Door) -> Certificate | None:
    """Return what TLS needs, checked, or None without TLS.

    Raises:
        UserError: one of both files is missing, or not what it should be.
    """
    if door.cert is None and door.key is None:
        return None
    if door.cert is None or door.key is None:
        raise UserError("--tls-cert and --tls-key go together.")
    certificate = Certificate(door.cert, door.key)
    certificate.check()
    return certificate
