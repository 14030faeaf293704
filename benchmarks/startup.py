"""Processor time until `hwnas --help` and `hwnas search --help` have answered.

With another checkout, both are run in turn and the ratio is given:

    python benchmarks/startup.py --against ../other-checkout --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from hwnas import __version__
from hwnas.device import describe_host

RUNS = 15
COMMANDS = (["--help"], ["search", "--help"])
HERE = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="Another checkout of hwnas.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    checkouts = [HERE] if options.against is None else [HERE, options.against.resolve()]
    rows = [_compare(words, checkouts, options.runs) for words in COMMANDS]
    for row in rows:
        print("; ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        about = {"hwnas": __version__, "machine": describe_host(), "runs": options.runs}
        options.out.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


def _compare(words: list[str], checkouts: list[Path], runs: int) -> dict:
    times: list[list[float]] = [[] for _ in checkouts]
    for number in range(runs + 1):
        for found, checkout in zip(times, checkouts, strict=True):
            seconds = _cpu_s(words, checkout)
            if number:  # the first run compiles what was never imported
                found.append(seconds)
    medians = [statistics.median(found) for found in times]
    row = {"command": " ".join(["hwnas", *words]), "cpu_ms": round(1e3 * medians[0], 1)}
    if len(medians) > 1:
        row["against_cpu_ms"] = round(1e3 * medians[1], 1)
        row["ratio"] = round(medians[0] / medians[1], 3)
    return row


def _cpu_s(words: list[str], checkout: Path) -> float:
    """Return processor time of one process."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "hwnas", *words],
        cwd=checkout, env=environment, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
