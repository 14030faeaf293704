"""What each local target costs before anything is timed, and what 8 bits bring.

For every target: milliseconds to write and to load a part and a whole network. For a few networks:
their median time on every target, interleaved in random order, and the ratio of 8 bits to float.
For one network: the same for the files that the runtimes' own quantisers make. Run it on an idle
machine.

    python benchmarks/target_speed.py --out benchmarks/results/target_speed.json
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from hwnas.device import describe_host, find_target
from hwnas.errors import UserError
from hwnas.graph import random_weights
from hwnas.measure import by_name, measure_round, pinned, warm_up
from hwnas.spaces import PUBLISHED, SPACES, mobilenet_v2
from hwnas.targets.backend import local_backend

TARGETS = ("onnx-cpu", "onnx-cpu-int8", "tflite", "tflite-int8", "tflite-runtime")
PAIRS = (("onnx-cpu", "onnx-cpu-int8"), ("tflite", "tflite-int8"))
COSTS = ("emit_ms_per_part", "load_ms_per_part", "emit_ms_per_network", "load_ms_per_network")
SPACE = SPACES["rcnet-imagenet"]
ROUNDS = 60
SAMPLE = 8


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    backends = _backends()
    with pinned(1):
        costs = {name: _costs(backend) for name, backend in backends.items()}
        networks = {name: _times(graph, backends) for name, graph in _networks().items()}
        quantisers = _quantisers(backends)
    _print(costs, networks, quantisers)
    if options.out:
        content = {"machine": describe_host(), "space": SPACE.name, "costs": costs}
        content |= {"networks": networks, "quantisers": quantisers}
        content["runtimes"] = {name: backend.version() for name, backend in backends.items()}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(content, indent=2) + "\n")


def _backends() -> dict:
    """Return the backends that work here."""
    found = {}
    for name in TARGETS:
        profile = find_target(name)
        backend = local_backend(profile.runtime, profile.precision, profile.python)
        try:
            backend.version()
        except UserError as error:
            print(f"left out: {name}. {error}")
        else:
            found[name] = backend
    return found


def _networks() -> dict:
    archs = {name: SPACE.parse(PUBLISHED[name]) for name in ("rcnet-imagenet", "rcnet-b-imagenet")}
    archs |= {f"random {seed}": SPACE.sample(np.random.default_rng(seed)) for seed in range(3)}
    graphs = {name: SPACE.graph(arch) for name, arch in archs.items()}
    return {"mobilenet_v2": mobilenet_v2(SPACE.resolution, SPACE.classes, SPACE.width), **graphs}


def _costs(backend) -> dict[str, float]:
    """Return mean milliseconds to write and to load, per part and per random network."""
    parts = [SPACE.part_graph(key) for key in SPACE.lookup_keys()]
    archs = [SPACE.sample(np.random.default_rng(seed)) for seed in range(SAMPLE)]
    result = {}
    for kind, graphs in {"part": parts, "network": [SPACE.graph(arch) for arch in archs]}.items():
        weighted = [(graph, random_weights(graph, 0)) for graph in graphs]
        backend.load(backend.emit(*weighted[0]), 1)
        start = time.perf_counter()
        models = [backend.emit(graph, weights) for graph, weights in weighted]
        emitted = time.perf_counter()
        sessions = [backend.load(model, 1) for model in models]
        loaded = time.perf_counter()
        result[f"emit_ms_per_{kind}"] = 1e3 * (emitted - start) / len(models)
        result[f"load_ms_per_{kind}"] = 1e3 * (loaded - emitted) / len(sessions)
    return result


def _times(graph, backends) -> dict[str, float]:
    """Return the median milliseconds of one network on every target."""
    weights = random_weights(graph, 0)
    models = {name: backend.emit(graph, weights) for name, backend in backends.items()}
    return _interleaved({name: backends[name].load(model, 1) for name, model in models.items()})


def _interleaved(sessions) -> dict[str, float]:
    timers = {name: session.elapsed_ms for name, session in sessions.items()}
    warm_up(timers.values())
    rng = np.random.default_rng(0)
    samples = by_name(measure_round(timers, rng) for _ in range(ROUNDS))
    return {name: float(np.median(samples[name])) for name in timers}


def _quantisers(backends) -> dict:
    """Return seconds and speed of the runtimes' own quantisers on one network, beside ours."""
    graph = SPACE.graph(SPACE.parse(PUBLISHED["rcnet-imagenet"]))
    weights = random_weights(graph, 0)
    image = np.random.default_rng(0).standard_normal((1, *graph.input_shape)).astype(np.float32)
    result = {}
    for float_target, target, quantise in (
        ("onnx-cpu", "onnx-cpu-int8", _onnx_runtime_quantiser),
        ("tflite", "tflite-int8", _litert_quantizer),
    ):
        plain = backends[float_target].emit(graph, weights)
        quantise(plain, image)  # imports
        start = time.perf_counter()
        theirs = quantise(plain, image)
        between = time.perf_counter()
        ours = backends[target].emit(graph, weights, image)
        seconds = {"theirs": between - start, "ours": time.perf_counter() - between}
        models = {"float": plain, "theirs": theirs, "ours": ours}
        load = backends[target].load
        times = _interleaved({name: load(model, 1) for name, model in models.items()})
        result[target] = {"seconds": seconds, "median_ms": times}
    return result


def _onnx_runtime_quantiser(model: bytes, image: np.ndarray) -> bytes:
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        remaining = iter(image)

        def get_next(self) -> dict[str, np.ndarray] | None:
            value = next(self.remaining, None)
            return None if value is None else {"input": value[None]}

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        form = quantization.QuantFormat.QDQ
        loaded = onnx.load_from_string(model)
        quantization.quantize_static(loaded, path, Reader(), quant_format=form, per_channel=True)
        return path.read_bytes()


def _litert_quantizer(model: bytes, image: np.ndarray) -> bytes:
    from litert_quantizer import quantizer, recipe

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        work = quantizer.Quantizer(model, recipe.static_wi8_ai8())
        seen = work.calibrate({"serving_default": [{"input": image.transpose(0, 2, 3, 1)}]})
        return bytes(work.quantize(seen).quantized_model)


def _print(costs: dict, networks: dict, quantisers: dict) -> None:
    print("| target | emit, part | load, part | emit, network | load, network |")
    print("|---|---:|---:|---:|---:|")
    for name, row in costs.items():
        print(f"| {name} | " + " | ".join(f"{row[key]:.1f} ms" for key in COSTS) + " |")
    ratios = [f"{small}/{large}" for large, small in PAIRS]
    print("\n| network | " + " | ".join([*costs, *ratios]) + " |")
    print("|---|" + "---:|" * (len(costs) + len(ratios)))
    for name, row in networks.items():
        cells = [f"{ms:.2f} ms" for ms in row.values()]
        cells += [f"{row[small] / row[large]:.2f}" for large, small in PAIRS]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n| target | float | their file | our file | they take | we take |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, row in quantisers.items():
        cells = [f"{row['median_ms'][key]:.2f} ms" for key in ("float", "theirs", "ours")]
        cells += [f"{row['seconds'][key]:.2f} s" for key in ("theirs", "ours")]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
