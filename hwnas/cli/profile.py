"""`hwnas profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.errors import Interrupted, UserError

if TYPE_CHECKING:
    from hwnas.device import DeviceProfile
    from hwnas.spaces import RcnetSpace
    from hwnas.workflows.profile import Profiled


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
    from hwnas.workflows.profile import MeterLog, profile_target

    _require_one_way(emit, ingest, listen)
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
        if power_log is not None:
            raise UserError("--power-log is for parts that run on this machine, not for --listen.")
        door = (listen, tls_cert, tls_key, new_token)
        _listen(device, chosen, workspace, door, networks, fresh=fresh, json=json)
        return
    _require_none(networks, tls_cert, tls_key, new_token)
    reporter = TerminalReporter()
    if power_log is None and (power_offset or power_block):
        raise UserError("--power-offset and --power-block need --power-log CSV.")
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
    if json:
        print_json(_to_json(done))
        return
    show(done)


def _require_one_way(emit: object, ingest: object, listen: object) -> None:
    """Refuse two of the ways to measure on a device at once."""
    if sum(way is not None for way in (emit, ingest, listen)) > 1:
        raise UserError("--emit, --ingest and --listen are three ways: give one of them.")


def _require_none(networks: object, cert: object, key: object, new_token: object) -> None:
    """Refuse options that say nothing about a profile by this machine."""
    if networks is not None:
        raise UserError("--networks needs --emit DIR or --listen.")
    if cert or key or new_token:
        raise UserError("--tls-cert, --tls-key and --new-token need --listen.")


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
    from hwnas.profiler.bundled import sized_plan
    from hwnas.workflows.agent import Door, profile_by_agent

    plan, reporter = sized_plan(space, networks), TerminalReporter()
    try:
        done = profile_by_agent(
            device, space, workspace, reporter, Door(*door), fresh=fresh, plan=plan
        )
    except KeyboardInterrupt:
        raise _interrupted(fresh=fresh) from None
    if json:
        print_json(_to_json(done))
    else:
        show(done)


def _emit(
    device: DeviceProfile,
    space: RcnetSpace,
    folder: Path,
    workspace: Path,
    networks: int | None,
    *,
    json: bool,
) -> None:
    from hwnas.workflows.bundle import emit

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
    from hwnas.workflows.bundle import ingest
    from hwnas.workflows.profile import Profiled

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
    profiled = Profiled(done.table, done.folder)
    if json:
        print_json(_to_json(profiled) | progress)
    else:
        show(profiled)


def _to_json(done: Profiled) -> dict[str, Any]:
    table = done.table
    return {
        "target": table.target,
        "space": table.space.name,
        "folder": str(done.folder),
        "rows": len(table.rows),
        "source": table.meta["source"],
        "validation": table.meta["validation"],
        "energy_source": table.meta["energy_source"],
        "energy": table.meta.get("energy"),
        "anchors": table.meta.get("anchors"),
        "uncertainty_95pct": table.meta.get("uncertainty_95pct"),
        "left_out_errors": table.meta.get("left_out_errors"),
    }


def show(done: Profiled) -> None:
    """Print what is known of the new table."""
    table, out = done.table, stdout()
    out.print(f"{done.folder}: {len(table.rows)} blocks of {table.space.name}, {table.label}")
    if table.estimated:
        _show_estimate(done)
    else:
        check = table.meta["validation"]
        out.print(
            f"held-out check on {check['networks']} whole networks: MAPE {check['mape']:.2%} "
            f"(uncorrected {check['mape_raw']:.1%}), within 5%: {check['within_5pct']:.0%}, "
            f"within 10%: {check['within_10pct']:.0%}, Kendall tau {check['kendall_tau']:.3f}, "
            f"worst {check['worst']:.1%}, split-half noise {check['split_half_noise']:.2%}"
        )
        out.print(
            f"margin: at least {check['confidence']:.0%} of networks take at most "
            f"{check['margin']:.1%} more than predicted, with "
            f"{table.margin_certainty(check['confidence']):.0%} certainty"
        )
        if failures := check["failures"]:
            out.print(f"GATE FAILED: {'; '.join(failures)}: `search` will refuse this table.")
    if about := table.meta.get("energy"):
        _show_energy(about)
    start_ms = table.latency_ms(table.space.start())
    example = f"{2 * start_ms:.2g}ms" if not table.estimated else "190ms"
    out.print(f"start network: {start_ms:.4g} ms ({table.label})")
    out.print(f"next: hwnas search --budget-latency {example}")


def _show_energy(about: dict[str, Any]) -> None:
    check = about["check"]
    out = stdout()
    out.print(
        f"energy measured by {about['meter']}: {about['running_watts']:.3g} W while parts run "
        f"(idle {about['idle_watts']:.3g} W, included), passes differ by {about['spread']:.1%}"
    )
    if check["networks"]:
        out.print(
            f"energy of {check['networks']} held-out networks: MAPE {check['mape']:.1%}, worst "
            f"{check['worst']:.1%}"
        )


def _show_estimate(done: Profiled) -> None:
    meta, out = done.table.meta, stdout()
    out.print(
        "ESTIMATED: no device was measured. An analytical model was fitted to published times of "
        f"whole networks; 95% uncertainty +-{meta['uncertainty_95pct']:.0%}, its form included:"
    )
    for anchor in meta["anchors"]:
        out.print(
            f"  {anchor['network']}: published {anchor['published_ms']:.1f} ms, model "
            f"{anchor['predicted_ms']:.1f} ms ({anchor['error']:+.1%}; {anchor['source']})"
        )
    if errors := meta["left_out_errors"]:
        told = ", ".join(f"{error:+.1%}" for error in errors)
        out.print(f"each of them predicted by the others: {told}")
