"""Whole-network times of random networks, kept so that analyses can be repeated without timing.

The profiler's protocol: interleaved rounds with a reference network in each, whose drift is
divided out; a low quantile, times one factor for what a typical run takes. Run it on an idle
machine.

    python benchmarks/network_timings.py --targets onnx-cpu --spaces rcnet-imagenet --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from hwnas import __version__
from hwnas.device import describe_host, find_target
from hwnas.graph import random_weights
from hwnas.measure import by_name, measure_round, pinned, warm_up, without_drift
from hwnas.spaces import find_space
from hwnas.targets.backend import local_backend

QUANTILE = 0.10
PANEL = 12
BATCH = 20
SEED = 11
"""None of the seeds that `hwnas profile` draws its networks with."""


def main() -> None:
    """Time, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", nargs="+", default=["onnx-cpu"])
    parser.add_argument("--spaces", nargs="+", default=["rcnet-imagenet"])
    parser.add_argument("--networks", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    options = parser.parse_args()
    if options.out is None:
        print("skipped: takes long, and is of use only with --out FILE.json")
        return
    timings = json.loads(options.out.read_text())["timings"] if options.out.exists() else []
    for target in options.targets:
        for space in options.spaces:
            others = [t for t in timings if (t["target"], t["space"]) != (target, space)]
            timings = [*others, measure(target, space, options.networks, options.rounds)]
            content = {"machine": describe_host(), "hwnas": __version__, "timings": timings}
            options.out.write_text(json.dumps(content, indent=1) + "\n")


def measure(target: str, space_name: str, count: int, rounds: int) -> dict:
    """Return the times of `count` random networks, with the noise of the times."""
    profile, space = find_target(target), find_space(space_name)
    backend = local_backend(profile.runtime)
    rng, archs = np.random.default_rng(SEED), {}
    while len(archs) < count:
        archs[space.format(space.sample(rng))] = None
    names, start, recorded = list(archs), time.monotonic(), []

    def load(arch: str):
        graph = space.graph(space.parse(arch))
        model = backend.emit(graph, random_weights(graph, seed=0))
        return backend.load(model, profile.threads)

    with pinned(profile.threads):
        # In every round, to tell the machine's drift; see hwnas/measure.py.
        panel = {name: load(name).elapsed_ms for name in names[:PANEL]}
        for first in range(0, count, BATCH):
            timers = {arch: load(arch).elapsed_ms for arch in names[first : first + BATCH]}
            warm_up([*panel.values(), *timers.values()])
            recorded += [measure_round(panel | timers, rng) for _ in range(rounds)]
    samples = by_name(without_drift(recorded, panel))
    low = {arch: np.quantile(samples[arch], QUANTILE) for arch in names}
    typical = float(np.median([np.median(samples[arch]) / low[arch] for arch in names]))
    one, other = ([np.quantile(samples[a][h::2], QUANTILE) for a in names] for h in (0, 1))
    noise = float(np.mean(np.abs(np.subtract(one, other)) / list(low.values())))
    print(f"{target} {space_name}: {time.monotonic() - start:.0f} s, split-half noise {noise:.2%}")
    return {
        "target": target,
        "space": space_name,
        "runtime": f"{backend.name} {backend.version()}",
        "threads": profile.threads,
        "rounds": rounds,
        "typical_factor": typical,
        "split_half_noise": noise,
        "latency_ms": {arch: round(float(low[arch]) * typical, 5) for arch in names},
    }


if __name__ == "__main__":
    main()
