"""RCAS on CIFAR-10 with default options: time, memory, and what a kill costs.

10,000 training images (the first 1,000 of each class), candidates at width 0.25 and 16 px, all
cores. The search is killed once, in the middle, and started again with the same command; what was
trained before the kill is looked up again afterwards.

    python benchmarks/cifar_search.py --data-dir DIR --out FILE.json

DIR holds cifar10/*.parquet. Memory is the sum over all processes of what each has to itself and its
share of what they have in common (PSS), looked at twice a second.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import __version__
from hwnas.device import describe_host

if TYPE_CHECKING:
    from collections.abc import Iterator

PER_CLASS = 1_000
SPACE = ("--space", "rcnet-cifar10")
BUDGETS = ("--budget-madds", "40M", "--budget-params", "1M")


def subset(source: Path, folder: Path) -> Path:
    """Write the first images of every class, and the test images, as Parquet; return the folder."""
    import pyarrow.parquet as pq

    table = pq.read_table(sorted(source.glob("train-*.parquet")))
    seen: Counter[int] = Counter()
    kept = []
    for row, label in enumerate(table["label"].to_pylist()):
        seen[label] += 1
        if seen[label] <= PER_CLASS:
            kept.append(row)
    folder.mkdir(parents=True)
    pq.write_table(table.take(kept), folder / "train-00000-of-00001.parquet")
    for test in source.glob("test-*.parquet"):
        (folder / test.name).symlink_to(test.resolve())
    return folder


def family(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def memory_mb(pid: int) -> float:
    """Return the memory of a process and its descendants, MB."""
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1000


def run(command: list[str], workspace: Path, until: int | None) -> tuple[float, float, str]:
    """Run a command; return seconds, peak memory and output.

    It is killed once the store holds `until` evaluations.
    """
    began, peak = time.monotonic(), 0.0
    with (workspace / "out").open("w") as out:
        process = subprocess.Popen(command, cwd=workspace, stdout=out, start_new_session=True)
        while process.poll() is None:
            with suppress(OSError):  # A process that has just ended.
                peak = max(peak, memory_mb(process.pid))
            if until is not None and len(trainings(workspace)) >= until:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                break
            time.sleep(0.5)
        if until is None and process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - began, peak, (workspace / "out").read_text()


def trainings(workspace: Path) -> dict[tuple[str, str, int], int]:
    """Return what the store holds: the row of every evaluation."""
    store = workspace / "runs" / "evaluations.sqlite"
    if not store.exists():
        return {}
    # A store that has just been made has no table yet.
    with (
        suppress(sqlite3.OperationalError),
        sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection,
    ):
        rows = connection.execute("SELECT context, network, replicate, rowid FROM evaluations")
        return {(context, network, number): row for context, network, number, row in rows}
    return {}


def main() -> None:
    """Search, killed once, and write what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    parser.add_argument("--kill-after", type=int, default=20, help="evaluations")
    parser.add_argument("--more", default="", help="further options of the search")
    options = parser.parse_args()
    if options.out is None or options.data_dir is None:
        print("skipped: wants --data-dir DIR with cifar10/*.parquet, and --out FILE.json")
        return
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        data = subset(options.data_dir / "cifar10", workspace / "cifar10")
        command = [sys.executable, "-m", "hwnas", "search", *SPACE, *BUDGETS]
        command += ["--dataset", f"parquet:{data}", "--json", *options.more.split()]
        first_s, first_mb, _ = run(command, workspace, options.kill_after)
        before = trainings(workspace)
        second_s, second_mb, out = run(command, workspace, None)
        after = trainings(workspace)
        found = json.loads(out)
    content = {
        "hwnas": __version__,
        "machine": describe_host(),
        "command": " ".join(["hwnas search", *SPACE, *BUDGETS, *options.more.split()]),
        "training_images": 10 * PER_CLASS,
        "seconds": {"killed": first_s, "then": second_s, "in_all": first_s + second_s},
        "peak_memory_mb": max(first_mb, second_mb),
        "evaluations_before_the_kill": len(before),
        "of_those_evaluated_again": sum(after.get(key) != row for key, row in before.items()),
        "evaluations_in_all": len(after),
        "search": {
            key: found[key]
            for key in ("arch", "accuracy", "costs", "evaluations", "trained", "finalists", "start")
        },
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps({key: value for key, value in content.items() if key != "search"}, indent=1))


if __name__ == "__main__":
    main()
