"""`hwnas profile`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.cli.accuracy import margin, spread
from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.workflows.profile.options import ProfileOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.workflows.profile.bundle import Emitted, Ingested
    from hwnas.workflows.profile.profiled import Profiled


@command(ProfileOptions)
def profile(options: ProfileOptions, *, json: bool) -> None:
    """Build a device's lookup table: what each block costs there.

    Energy is measured where this machine has a counter that can be read (`hwnas doctor` tells), or
    by a meter whose log is given; the log may be saved while this runs or after it.

    A device that is another machine is measured there: --emit DIR writes what it needs,
    export/ holds what runs it, and --ingest DIR/results.json makes the table. Where the device
    reaches this machine, --listen does it in one go.

    Example: hwnas profile --target onnx-cpu --space rcnet-cifar10
    """
    from hwnas.workflows.profile import profile as workflow
    from hwnas.workflows.profile.bundle import Emitted, Ingested

    done = workflow.profile(options, TerminalReporter())
    if json:
        print_json(done.to_json())
    elif isinstance(done, Emitted):
        _show_bundle(done)
    elif isinstance(done, Ingested):
        _show_ingested(done)
    else:
        show_table(done)


def _show_bundle(done: Emitted) -> None:
    stdout().print(
        f"{done.folder}: {len(done.manifest.models)} models, {len(done.manifest.jobs)} jobs, "
        f"{done.size_bytes / 1e6:,.0f} MB (bundle {done.manifest.bundle})\n"
        f"next, on the device: {done.hint}\n"
        f"then, here: hwnas profile --ingest {done.results}"
    )


def _show_ingested(done: Ingested) -> None:
    if done.profiled is not None:
        show_table(done.profiled)
        return
    stdout().print(
        f"{done.done} of {done.jobs} jobs are known: no table yet. Let the harness go on, and "
        "take in its results again with the same command."
    )


def show_table(done: Profiled) -> None:
    """Print what is known of a new table."""
    table, out = done.table, stdout()
    out.print(f"{done.folder}: {len(table.rows)} blocks of {table.space.name}, {table.label}")
    if table.estimated:
        _show_estimate(table.meta)
    else:
        check = table.meta["validation"]
        out.print(
            f"held-out check on {check['networks']} whole networks: MAPE {check['mape']:.2%} "
            f"(uncorrected {check['mape_raw']:.1%}), {spread(check)}, split-half noise "
            f"{check['split_half_noise']:.2%}"
        )
        out.print(margin(table))
        if failures := check["failures"]:
            out.print(f"GATE FAILED: {'; '.join(failures)}: `search` will refuse this table.")
    if about := table.meta.get("energy"):
        _show_energy(about)
    start_ms = table.latency_ms(table.space.start())
    example = f"{float(f'{2 * start_ms:.2g}'):g}ms"  # two digits, and never 1.5e+02
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


def _show_estimate(meta: Mapping[str, Any]) -> None:
    out = stdout()
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
