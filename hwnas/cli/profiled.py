"""What `hwnas profile` tells of a new table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.cli.console import print_json, stdout

if TYPE_CHECKING:
    from hwnas.workflows.profile.here import Profiled


def tell(done: Profiled, *, json: bool, **more: object) -> None:
    """Print a new table, for a person or as JSON with `more` in it."""
    if json:
        print_json(_to_json(done) | more)
    else:
        show(done)


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
