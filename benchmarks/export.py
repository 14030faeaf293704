"""What every format and precision of an export costs and is worth, side by side in one run.

1. The 3.4M-parameter RCNet in every format and precision: seconds to write, size, parity with its
   own arithmetic, change of the outputs against float32.
2. Time per image of those files that a runtime here runs, and of files of the standard converters
   for the same network (torch.onnx.export, litert-torch), interleaved: ratios.
3. With --data: top-1 of a network trained on CIFAR-10, in every format and precision.

Run it on an idle machine. litert-torch wants an environment of its own: --litert-python names the
Python in which `pip install litert-torch` was done; without it that row is left out.

    python benchmarks/export.py --data DATA --litert-python PY --out benchmarks/results/export.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from export_accuracy import accuracies

from hwnas.data.selection import USUAL
from hwnas.device import describe_host
from hwnas.graph import Shuffle, unnamed
from hwnas.measure import by_name, measure_round, pinned, warm_up
from hwnas.models.network import Network, fold, initialise, module_name
from hwnas.spaces import PUBLISHED, find_space
from hwnas.targets.convert.onnx import exported
from hwnas.targets.formats import FORMATS, find_format
from hwnas.targets.onnx.runtime import OnnxRuntime
from hwnas.targets.shared.compute import run
from hwnas.targets.shared.format import Content, normalised
from hwnas.targets.shared.quantisation import calibrate
from hwnas.targets.tflite.runtime import LiteRt
from hwnas.workflows.export.parity import difference, parity_images

SPACE = find_space("rcnet-imagenet")
ARCH = SPACE.canonical(SPACE.parse(PUBLISHED["rcnet-imagenet"]))
PARTS = ("files", "speed", "accuracy")
ROUNDS = 150
LOADS = 5
CONVERT = Path(__file__).with_name("export_litert.py")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with cifar10/*.parquet")
    parser.add_argument("--litert-python", help="Python that has litert-torch")
    parser.add_argument("--out", type=Path, help="JSON; parts of other runs in it are kept")
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    options = parser.parse_args()
    before = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    found = {**before, "machine": describe_host()}
    files, rows = written()
    if "files" in options.parts:
        found["files"] = rows
        print_rows(rows)
    if "speed" in options.parts:
        found["speed"] = speed(files, options.litert_python)
        print_speed(found["speed"])
    if "accuracy" in options.parts and options.data:
        found["accuracy"] = accuracies(options.data)
    elif "accuracy" in options.parts:
        print("accuracy left out: it needs CIFAR-10, --data DIR")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def network() -> Network:
    """Return the network with the weights that a seed gives."""
    built = Network(SPACE.graph(ARCH))
    initialise(built, 0)
    return built.eval()


def written() -> tuple[dict[tuple[str, str], bytes], list[dict]]:
    """Return the files of one part by format and precision, and what is to be told of all."""
    graph, weights, images = SPACE.graph(ARCH), fold(network()), unnamed(SPACE.classes)
    pixels = parity_images(None, None, USUAL, SPACE.resolution)
    values = normalised(pixels, images)
    stored = calibrate(graph, weights, values)
    exact = run(graph, weights, values)
    files, rows = {}, []
    for name in FORMATS:
        form = find_format(name)
        for precision in ("fp32", "fp16", "int8"):
            content = Content(graph, weights, images, {}, precision, stored)
            form.emit(content)  # whatever is loaded once
            start = time.perf_counter()
            artifact = form.emit(content)
            seconds = time.perf_counter() - start
            arithmetic = form.arithmetic(content)
            intended = run(graph, arithmetic.weights, values, arithmetic.rounded)
            outputs = [_outputs(logits, form.outputs) for logits in (intended, exact)]
            parity = difference(form.execute(artifact, pixels, images), outputs[0])
            rows.append(
                {
                    "format": name,
                    "precision": precision,
                    "seconds": seconds,
                    "size_bytes": artifact.size_bytes,
                    "size_ratio": artifact.size_bytes / _float_size(rows, artifact.size_bytes),
                    "max_rel": parity.max_rel,
                    "rms_rel": parity.rms_rel,
                    "effect_rms_rel": difference(outputs[0], outputs[1]).rms_rel,
                }
            )
            if len(artifact.files) == 1:
                files[name, precision] = artifact.content
    return files, rows


def _float_size(rows: list[dict], own: int) -> int:
    """Return the size of the float32 file of the last row's format, which comes first."""
    same = [row for row in rows if row["precision"] == "fp32"]
    return same[-1]["size_bytes"] if len(rows) % len(("fp32", "fp16", "int8")) else own


def _outputs(logits: np.ndarray, outputs: str) -> np.ndarray:
    return logits if outputs == "logits" else torch.from_numpy(logits).softmax(1).numpy()


def speed(files: dict[tuple[str, str], bytes], litert_python: str | None) -> dict[str, dict]:
    """Return the median time of files and its ratio to our float32 file, by runtime.

    Every file is loaded several times, since where it lands in memory changes its speed; the ratio
    is the median over loads.
    """
    ours = {form: {p: files[form, p] for p in ("fp32", "fp16", "int8")} for form in FORMATS[:2]}
    for precision in ("fp32", "int8"):
        ours["tflite"][f"{precision}, --mediapipe"] = _for_mediapipe(precision)
    example = torch.zeros(1, *SPACE.input_shape)
    ours["onnx"]["torch.onnx.export"] = exported(network(), example)
    ours["onnx"]["torch.onnx.export, plain shuffle"] = exported(_plain(network()), example)
    if litert_python:
        ours["tflite"]["litert-torch"] = _by_litert_torch(litert_python)
    else:
        print("litert-torch left out: name its Python with --litert-python")
    runtimes = {"onnx": OnnxRuntime, "tflite": LiteRt}
    with pinned(1):
        return {form: _ratios(runtimes[form], models) for form, models in ours.items()}


def _for_mediapipe(precision: str) -> bytes:
    form, graph, images = find_format("tflite", pixels=True), SPACE.graph(ARCH), unnamed(1000)
    weights, inside = form.adapted(graph, fold(network()), images, precision)
    values = normalised(parity_images(None, None, USUAL, SPACE.resolution), inside)
    stored = calibrate(graph, weights, values)
    return form.emit(Content(graph, weights, inside, {}, precision, stored)).content


def _plain(built: Network) -> Network:
    """Return the network with torch's own channel shuffle, which leaves channels where they are.

    The module's own is written for training in channels-last memory, and its transpositions stay
    in the converter's file.
    """
    for node in built.graph:
        if isinstance(node.op, Shuffle):
            built.layers[module_name(node.name)] = torch.nn.ChannelShuffle(node.op.groups)
    return built


def _ratios(load: type, models: dict[str, bytes]) -> dict:
    medians: dict[str, list[float]] = {name: [] for name in models}
    for number in range(LOADS):
        timers = {name: load(model, 1).elapsed_ms for name, model in models.items()}
        warm_up(timers.values())
        rng = np.random.default_rng(number)
        samples = by_name([measure_round(timers, rng) for _ in range(ROUNDS)])
        for name, times in samples.items():
            medians[name].append(float(np.median(times)))
    base = np.array(medians["fp32"])
    return {
        name: {
            "median_ms": float(np.median(times)),
            "ratio": float(np.median(np.array(times) / base)),
            "ratios": [round(float(r), 4) for r in np.array(times) / base],
        }
        for name, times in medians.items()
    }


def _by_litert_torch(python: str) -> bytes:
    """Return the file that litert-torch makes of the network, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.tflite"
        root = str(Path(__file__).resolve().parents[1])
        command = [python, str(CONVERT), SPACE.format(ARCH), str(path)]
        environment = {**os.environ, "PYTHONPATH": root}
        subprocess.run(command, check=True, env=environment, capture_output=True)
        return path.read_bytes()


def print_rows(rows: list[dict]) -> None:
    """Print the first table."""
    print("| format | precision | s | MB | of fp32 | parity max | parity rms | change rms |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| `{row['format']}` | {row['precision']} | {row['seconds']:.2f} | "
            f"{row['size_bytes'] / 1e6:.2f} | {row['size_ratio']:.1%} | {row['max_rel']:.1e} | "
            f"{row['rms_rel']:.1e} | {row['effect_rms_rel']:.1e} |"
        )


def print_speed(found: dict[str, dict]) -> None:
    """Print the second table."""
    print(
        "\n| format | file | median ms | against our fp32 | over loads |\n|---|---|---:|---:|---|"
    )
    for form, models in found.items():
        for name, row in models.items():
            spread = f"{min(row['ratios']):.3f} to {max(row['ratios']):.3f}"
            print(f"| `{form}` | {name} | {row['median_ms']:.2f} | {row['ratio']:.3f} | {spread} |")


if __name__ == "__main__":
    main()
