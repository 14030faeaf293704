"""Small real tables for tests that are not about measuring."""

from __future__ import annotations

import numpy as np

from hwnas.lut.accuracy import compare
from hwnas.lut.table import HeldOut, Row, Table
from hwnas.spaces import SPACES, RcnetSpace

DIGITS = SPACES["rcnet-digits"]


def table(space: RcnetSpace = DIGITS, *, error: float = 0.01, watts: float | None = None) -> Table:
    """A table whose predictions are `error` off, at random, on held-out networks."""
    rng, rows = np.random.default_rng(0), {}
    for key in space.lookup_keys():
        graph = space.part_graph(key)
        ms = 0.01 + graph.madds / 1e7
        rows[key] = Row(
            params=graph.params,
            madds=graph.madds,
            latency_ms=ms,
            latency_low_ms=0.99 * ms,
            latency_high_ms=1.01 * ms,
            raw_ms=0.9 * ms,
            energy_mj=None if watts is None else watts * ms,
            peak_bytes=graph.peak_bytes,
            weight_bytes=graph.weight_bytes,
            samples=100,
            source="measured",
            energy_source="unknown" if watts is None else "estimated",
        )
    archs = [space.sample(rng) for _ in range(40)]
    predicted = [sum(rows[key].latency_ms for key in space.parts(arch)) for arch in archs]
    measured = [ms * (1 + error * rng.normal()) for ms in predicted]
    accuracy = compare(predicted, measured)
    meta = {
        "source": "measured",
        "created": "2026-01-01T00:00:00+00:00",
        "device": {"cpu": "test"},
        "runtime": {"name": "onnxruntime", "version": "test"},
        "precision": "fp32",
        "threads": 1,
        "energy_source": "unknown" if watts is None else "estimated",
        "validation": {**accuracy.to_json(), "failures": accuracy.gate()},
    }
    held_out = tuple(
        HeldOut(space.format(a), p, m) for a, p, m in zip(archs, predicted, measured, strict=True)
    )
    return Table("onnx-cpu", space, rows, meta, held_out)
