"""How long a measured table takes, and how well it predicts whole networks it has never seen.

Profiles each space on onnx-cpu from scratch, in a folder of its own, and prints the held-out check
as a Markdown table. Run it on an idle machine.

    python benchmarks/profile_accuracy.py rcnet-digits rcnet-cifar10 rcnet-imagenet --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from hwnas.device import describe_host, find_target
from hwnas.progress import Silent
from hwnas.spaces import find_space
from hwnas.workflows.profile import profile_target

SPACES = ("rcnet-digits", "rcnet-cifar10", "rcnet-imagenet")
HEADER = (
    "| space | seconds | MAPE | uncorrected | within 5% | Kendall tau | worst | 95% margin "
    "| split-half noise |"
)


def main() -> None:
    """Profile, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spaces", nargs="*", default=SPACES)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    print(HEADER, "|---|" + "---:|" * 8, sep="\n", flush=True)
    results = {}
    for name in options.spaces:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            done = profile_target(find_target("onnx-cpu"), find_space(name), Path(folder), Silent())
        meta = done.table.meta
        results[name] = {"seconds": time.monotonic() - start, **meta["validation"]}
        results[name] |= {key: meta[key] for key in ("runtime", "typical_factor", "correction")}
        print(_row(name, results[name]), flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        content = {"machine": describe_host(), "spaces": results}
        options.out.write_text(json.dumps(content, indent=2) + "\n")


def _row(name: str, check: dict) -> str:
    return (
        f"| `{name}` | {check['seconds']:.0f} | {check['mape']:.2%} | {check['mape_raw']:.1%} | "
        f"{check['within_5pct']:.0%} | {check['kendall_tau']:.3f} | {check['worst']:.1%} | "
        f"{check['margin']:.1%} | {check['split_half_noise']:.2%} |"
    )


if __name__ == "__main__":
    main()
