"""What measuring over HTTP costs, and whether the tables are the same.

The whole profile of one space, in turn by this machine itself and by the agent on the same machine
(a process of its own, over loopback). Two tables of this machine itself tell how far apart two
profiles are anyway. Run it on an idle machine.

    python benchmarks/agent.py --out benchmarks/results/agent.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hwnas.device import describe_host, find_target
from hwnas.profiler.clock import LocalClock
from hwnas.profiler.plan import sized_plan
from hwnas.profiler.protocol import Profiler
from hwnas.progress import Silent
from hwnas.resources import shipped
from hwnas.spaces import SPACES
from hwnas.targets.backend import local_backend
from hwnas.workflows.profile.agent import profile_by_agent
from hwnas.workflows.profile.profiled import Profiling

HARNESS = shipped("export") / "linux" / "hwnas_bench.py"


class Board(Silent):
    """Starts the harness with the line that is shown."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.harness: subprocess.Popen[bytes] | None = None

    def info(self, message: str) -> None:
        """Do what the line says."""
        if found := re.search(r"python3 hwnas_bench.py (--agent .*)", message):
            options = [*shlex.split(found[1]), "--cache", str(self.cache)]
            self.harness = subprocess.Popen(
                [sys.executable, str(HARNESS), *options], stderr=subprocess.DEVNULL
            )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="onnx-cpu")
    parser.add_argument("--space", default="rcnet-digits")
    parser.add_argument("--networks", type=int, help="in all; default: the usual plan")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    space, profile = SPACES[asked.space], find_target(asked.target)
    plan = sized_plan(space, asked.networks)
    runs: dict[str, list] = {"local": [], "agent": []}
    for number in range(asked.repeats):
        order = ("local", "agent") if number % 2 == 0 else ("agent", "local")
        for kind in order:
            run = (_local if kind == "local" else _agent)(profile, space, plan)
            runs[kind].append(run)
            print(f"{kind}: {run['seconds']:.1f} s, {run['rounds']} rounds")
    found = _compared(runs)
    for name, value in found.items():
        print(f"{name}: {value:.4g}")
    if asked.out:
        content = {
            "machine": describe_host(),
            "target": profile.name,
            "space": space.name,
            **found,
            "seconds": {kind: [run["seconds"] for run in each] for kind, each in runs.items()},
            "rounds": {kind: [run["rounds"] for run in each] for kind, each in runs.items()},
            "mape": {kind: [run["mape"] for run in each] for kind, each in runs.items()},
        }
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(content, indent=2) + "\n")


def _local(profile, space, plan) -> dict:
    backend = local_backend(profile.runtime, profile.precision)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        clock = LocalClock(space, backend, profile.threads)
        table = Profiler(profile, space, clock, Silent()).run(Path(folder) / "p.jsonl", plan=plan)
        return _facts(table, time.perf_counter() - start)


def _agent(profile, space, plan) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        board = Board(Path(folder) / "cache")
        start = time.perf_counter()
        done = profile_by_agent(Profiling(profile, space, Path(folder), board), "0", plan)
        facts = _facts(done.table, time.perf_counter() - start)
        board.harness.wait(timeout=60)
        return facts


def _facts(table, seconds: float) -> dict:
    return {
        "seconds": seconds,
        "rounds": max(row.samples for row in table.rows.values()),
        "mape": table.meta["validation"]["mape"],
        "ms": {str(key): row.latency_ms for key, row in table.rows.items()},
    }


def _compared(runs: dict[str, list]) -> dict[str, float]:
    """Return the figures; rounds differ by what did not settle, so time per round is compared."""
    per_round = {
        kind: [run["seconds"] / run["rounds"] for run in each] for kind, each in runs.items()
    }
    pairs = list(zip(per_round["agent"], per_round["local"], strict=True))
    apart = [_apart(a, b) for a, b in zip(runs["agent"], runs["local"], strict=True)]
    locals_apart = [_apart(*pair) for pair in itertools.combinations(runs["local"], 2)]
    return {
        "time_ratio": statistics.median(agent / local for agent, local in pairs),
        "median_difference": statistics.median(apart),
        "median_difference_of_two_local": statistics.median(locals_apart or [float("nan")]),
    }


def _apart(one: dict, other: dict) -> float:
    """Return the median over keys of how far two tables are apart, relative to the second."""
    return statistics.median(abs(one["ms"][key] / ms - 1) for key, ms in other["ms"].items())


if __name__ == "__main__":
    main()
