"""`hwnas predict`, `hwnas targets`, `hwnas doctor`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hwnas.cli import options
from hwnas.cli.console import TerminalReporter, print_json, stdout


def predict(
    arch: Annotated[
        str,
        typer.Argument(
            help='36 type numbers ("5,0,...|..."), "s0", or a published name: rcnet-cifar100, '
            "rcnet-imagenet, rcnet-b-imagenet."
        ),
    ],
    target: options.Target = None,
    space: options.Space = None,
    input_size: options.Input = None,
    classes: options.Classes = None,
    width: options.Width = None,
    confidence: Annotated[
        float | None, typer.Option("--confidence", help="Of the latency's upper bound.")
    ] = None,
    workspace: options.Workspace = options.HERE,
    json: options.Json = False,
) -> None:
    """Tell what a network costs: exact counts, predicted latency.

    Example: hwnas predict s0 --space rcnet-cifar100
    """
    from hwnas.workflows.predict import predict_costs

    costs = predict_costs(
        workspace,
        arch,
        target=target,
        space=space,
        geometry={"input_size": input_size, "classes": classes, "width": width},
        confidence=confidence,
        reporter=TerminalReporter(),
    )
    if json:
        print_json(costs)
        return
    _show_costs(costs)


def _show_costs(costs: dict[str, Any]) -> None:
    from hwnas import units

    out = stdout()
    out.print(f"{costs['arch']}  ({costs['space']})")
    out.print(f"params    {costs['params']:,}")
    out.print(f"MAdds     {costs['madds']:,}")
    if costs["size_bytes"] is not None:
        size = units.SIZE.format(costs["size_bytes"])
        out.print(f"file      at most {size} ({costs['size_format']}, {costs['precision']})")
    out.print(f"memory    {units.MEMORY.format(costs['peak_memory_bytes'])} (peak activations)")
    if costs["latency_ms"] is None:
        out.print("latency   unknown: name a device with --target")
        return
    bound = f", at most {costs['latency_upper_ms']:.4g} ms at {costs['confidence']:.0%} confidence"
    out.print(
        f"latency   {costs['latency_ms']:.4g} ms on {costs['target']} ({costs['latency_source']})"
        + bound
    )
    if costs["energy_mj"] is not None:
        out.print(f"energy    {costs['energy_mj']:.4g} mJ ({costs['energy_source']})")


def targets(workspace: options.Workspace = options.HERE, json: options.Json = False) -> None:
    """List the known devices and their tables.

    Example: hwnas targets --json
    """
    from hwnas.workflows.targets import list_targets

    rows = list_targets(workspace)
    if json:
        print_json(rows)
        return
    from rich.table import Table

    from hwnas.harness import measure_command

    table = Table(box=None, pad_edge=False)
    for column in ("target", "device", "measured", "tables"):
        table.add_column(column, no_wrap=column in ("target", "measured"))
    for row in rows:
        where = "here" if row["local"] else f"by export/{row['harness']}"
        tables = "\n".join(map(_table_text, row["tables"])) or "none"
        table.add_row(row["target"], row["title"], where, tables)
    out = stdout()
    out.print(table)
    out.print("here: hwnas profile --target TARGET", highlight=False)
    out.print(f"by export/...: {measure_command('TARGET', 'linux')}", highlight=False)


def _table_text(table: dict[str, Any]) -> str:
    when = table["created"].partition("T")[0]
    on = f" on {table['device']}" if table["device"] else ""
    return f"{table['space']}: {table['source']} {when}{on}"


def doctor(json: options.Json = False) -> None:
    """Say what works here and what to install for the rest.

    Example: hwnas doctor
    """
    from hwnas.doctor import examine

    findings = examine()
    if json:
        print_json([finding.to_json() for finding in findings])
        return
    out = stdout()
    for finding in findings:
        mark = {"ok": "ok  ", "missing": "--  ", "note": "note"}[finding.state]
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        out.print(f"{mark}  {finding.name:<14} {finding.detail}{remedy}", markup=False)
