"""`hwnas targets` and `hwnas doctor`."""

from __future__ import annotations

from typing import Any

from hwnas.cli import options
from hwnas.cli.console import print_json, stdout


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
    from hwnas.workflows.doctor import examine

    findings = examine()
    if json:
        print_json([finding.to_json() for finding in findings])
        return
    out = stdout()
    for finding in findings:
        mark = {"ok": "ok  ", "missing": "--  ", "note": "note"}[finding.state]
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        out.print(f"{mark}  {finding.name:<14} {finding.detail}{remedy}", markup=False)
