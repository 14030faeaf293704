"""`hwnas targets`."""

from __future__ import annotations

from typing import Any

from hwnas.cli.command import command
from hwnas.cli.console import print_json, stdout
from hwnas.workflows.targets.options import TargetsOptions


@command(TargetsOptions)
def targets(options: TargetsOptions, *, json: bool) -> None:
    """List the known devices and their tables.

    Example: hwnas targets --json
    """
    from hwnas.workflows.targets import targets as workflow

    rows = workflow.targets(options)
    print_json(rows) if json else _show(rows)


def _show(rows: list[dict[str, Any]]) -> None:
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
    out.print("here: hwnas profile --target TARGET")
    out.print(f"by export/...: {measure_command('TARGET', 'linux')}")


def _table_text(table: dict[str, Any]) -> str:
    when = table["created"].partition("T")[0]
    on = f" on {table['device']}" if table["device"] else ""
    return f"{table['space']}: {table['source']} {when}{on}"
