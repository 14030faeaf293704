"""`hwnas profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli import options, profile_rules
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.cli.profiled import tell
from hwnas.errors import Interrupted, UserError

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.spaces import RcnetSpace


def profile(
    target: options.Target = None,
    space: options.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            help="Threads of the runtime; makes the table of a target of its own, TARGET-tN.",
            show_default="as the target's profile says",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Ignore an interrupted profile, or go on.")
    ] = False,
    require_device: Annotated[
        bool, typer.Option("--require-device", help="Fail rather than estimate.")
    ] = False,
    power_log: Annotated[
        Path | None,
        typer.Option(
            "--power-log",
            metavar="CSV",
            help="Log of an external power meter: timestamp and watts, or volts and amps.",
        ),
    ] = None,
    power_offset: Annotated[
        float, typer.Option(metavar="SECONDS", help="Added to the log's timestamps.")
    ] = 0.0,
    power_block: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="How long each part runs for the meter.",
            show_default="1",
        ),
    ] = None,
    emit: Annotated[
        Path | None,
        typer.Option(
            "--emit", metavar="DIR", help="Write models for a device that is not this machine."
        ),
    ] = None,
    ingest: Annotated[
        Path | None,
        typer.Option("--ingest", metavar="FILE", help="Take in the results.json of a device."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="[HOST:]PORT",
            help="Let a device pull what it times, over HTTP; PORT alone: from this machine only.",
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="PEM", help="With --listen: certificate, for HTTPS.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="With --listen: key of the certificate.")
    ] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="With --listen: a new pairing token.")
    ] = False,
    networks: Annotated[
        int | None,
        typer.Option(
            help="With --emit or --listen: whole networks in all; fewer need less room and time.",
            show_default="as many as here",
        ),
    ] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Build a device's lookup table: what each block costs there.

    Energy is measured where this machine has a counter that can be read (`hwnas doctor` tells), or
    by a meter whose log is given; the log may be saved while this runs or after it.

    A device that is another machine is measured there: --emit DIR writes what it needs,
    export/ holds what runs it, and --ingest DIR/results.json makes the table. Where the device
    reaches this machine, --listen does it in one go.

    Example: hwnas profile --target onnx-cpu --space rcnet-cifar10
    """
    from hwnas.device import find_target
    from hwnas.spaces import find_space
    from hwnas.workflows.profile.here import MeterLog, profile_target

    profile_rules.check(
        {
            "--emit": emit,
            "--ingest": ingest,
            "--listen": listen,
            "--space": space,
            "--input": input_size,
            "--classes": classes,
            "--width": width,
            "--threads": threads,
            "--require-device": require_device,
            "--power-log": power_log,
            "--power-offset": power_offset,
            "--power-block": power_block,
            "--tls-cert": tls_cert,
            "--tls-key": tls_key,
            "--new-token": new_token,
            "--networks": networks,
        }
    )
    if ingest is not None:
        _ingest(ingest, workspace, target, fresh=fresh, json=json)
        return
    if target is None:
        raise UserError("name a device with --target; `hwnas targets` lists those that are known.")
    device = find_target(target)
    if threads is not None and threads != device.threads:
        device = find_target(f"{target}-t{threads}")
    chosen = find_space(
        space or device.default_space, input_size=input_size, classes=classes, width=width
    )
    if emit is not None:
        _emit(device, chosen, emit, workspace, networks, json=json)
        return
    if listen is not None:
        door = (listen, tls_cert, tls_key, new_token)
        _listen(device, chosen, workspace, door, networks, fresh=fresh, json=json)
        return
    reporter = TerminalReporter()
    meter_log = MeterLog(power_log, power_offset, power_block) if power_log else None
    try:
        done = profile_target(
            device,
            chosen,
            workspace,
            reporter,
            fresh=fresh,
            require_device=require_device,
            meter_log=meter_log,
        )
    except KeyboardInterrupt:
        raise _interrupted(fresh=fresh) from None
    tell(done, json=json)


def _interrupted(*, fresh: bool) -> BaseException:
    """Return what Ctrl-C becomes: how to go on differs after --fresh."""
    if not fresh:
        return KeyboardInterrupt()
    return Interrupted("interrupted; the same command without --fresh goes on where it stopped.")


def _listen(
    device: DeviceProfile,
    space: RcnetSpace,
    workspace: Path,
    door: tuple[str, Path | None, Path | None, bool],
    networks: int | None,
    *,
    fresh: bool,
    json: bool,
) -> None:
    from hwnas.profiler.plan import sized_plan
    from hwnas.workflows.profile.agent import Door, profile_by_agent

    plan, reporter = sized_plan(space, networks), TerminalReporter()
    try:
        done = profile_by_agent(
            device, space, workspace, reporter, Door(*door), fresh=fresh, plan=plan
        )
    except KeyboardInterrupt:
        raise _interrupted(fresh=fresh) from None
    tell(done, json=json)


def _emit(
    device: DeviceProfile,
    space: RcnetSpace,
    folder: Path,
    workspace: Path,
    networks: int | None,
    *,
    json: bool,
) -> None:
    from hwnas.workflows.profile.bundle import emit

    done = emit(device, space, folder, workspace, TerminalReporter(), networks=networks)
    if json:
        print_json(
            {
                "target": device.name,
                "space": space.name,
                "folder": str(done.folder),
                "bundle": done.manifest.bundle,
                "models": len(done.manifest.models),
                "jobs": len(done.manifest.jobs),
                "size_bytes": done.size_bytes,
            }
        )
        return
    stdout().print(
        f"{done.folder}: {len(done.manifest.models)} models, {len(done.manifest.jobs)} jobs, "
        f"{done.size_bytes / 1e6:,.0f} MB (bundle {done.manifest.bundle})\n"
        f"next, on the device: {done.hint}\n"
        f"then, here: hwnas profile --ingest {done.results}"
    )


def _ingest(file: Path, workspace: Path, target: str | None, *, fresh: bool, json: bool) -> None:
    from hwnas.workflows.profile.bundle import ingest
    from hwnas.workflows.profile.here import Profiled

    done = ingest(file, workspace, TerminalReporter(), target=target, fresh=fresh)
    progress = {"complete": done.table is not None, "jobs_done": done.done, "jobs": done.jobs}
    if done.table is None:
        if json:
            setup = done.manifest.setup
            print_json({"target": setup.target, "space": setup.space, **progress})
            return
        stdout().print(
            f"{done.done} of {done.jobs} jobs are known: no table yet. Let the harness go on, and "
            "take in its results again with the same command."
        )
        return
    tell(Profiled(done.table, done.folder), json=json, **progress)
