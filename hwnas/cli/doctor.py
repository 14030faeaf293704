"""`hwnas doctor`."""

from __future__ import annotations

from dataclasses import asdict

from hwnas.cli.command import command
from hwnas.cli.console import print_json, stdout
from hwnas.options import NoOptions


@command(NoOptions)
def doctor(_options: NoOptions, *, json: bool) -> None:
    """Say what works here and what to install for the rest.

    Example: hwnas doctor
    """
    from hwnas.workflows import doctor as workflow

    findings = workflow.doctor()
    if json:
        print_json([asdict(finding) for finding in findings])
        return
    out = stdout()
    for finding in findings:
        mark = {"ok": "ok  ", "missing": "--  ", "note": "note"}[finding.state]
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        out.print(f"{mark}  {finding.name:<14} {finding.detail}{remedy}")
