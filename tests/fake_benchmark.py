"""A `benchmark_model` that really runs the models, in LiteRT, and prints what the tool prints."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from fake_adb import Answer

from hwnas.targets.tflite.runtime import load_interpreter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COMMON = ("graph", "num_threads", "num_runs", "min_secs", "max_secs", "warmup_runs", "use_xnnpack")
FLAGS = {
    "interpreter": (
        *COMMON,
        "warmup_min_secs",
        "input_layer",
        "input_layer_shape",
        "input_layer_value_files",
        "output_filepath",
    ),
    "compiled": (*COMMON, "warmup_min_secs", "use_cpu"),
}
"""What the two tools of that name know: of LiteRT's Interpreter API and CompiledModel API."""


@dataclass
class FakeBenchmark:
    """Answers to the arguments of `benchmark_model`.

    Attributes:
        kind: which of the two tools of that name; see `FLAGS`.
        percentiles: whether it prints them, as newer ones do.
        wrong: writes other outputs than the model's.
        broken: text of a failure of every model.
        asked: arguments of every call.
    """

    kind: str = "interpreter"
    percentiles: bool = True
    wrong: bool = False
    broken: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    _models: dict[tuple[str, int], Any] = field(default_factory=dict)

    def answer(self, folder: Path, arguments: Sequence[str]) -> Answer:
        pairs = (each.removeprefix("--").split("=", 1) for each in arguments if "=" in each)
        given = dict(pairs)
        known = FLAGS[self.kind]
        flags = {name: value for name, value in given.items() if name in known}
        self.asked.append(flags)
        if "--help" in arguments or "graph" not in flags:
            usage = "".join(f"\t--{name}=\tstring\toptional\t{name}\n" for name in known)
            return Answer(1, err=f"ERROR: usage: ./benchmark_model <flags>\nFlags:\n{usage}")
        ignored = sorted(set(given) - set(known))
        warning = f"WARN: Unconsumed cmdline flags: {ignored}\n" if ignored else ""
        if self.broken:
            return Answer(1, err=f"INFO: STARTING!\nERROR: {self.broken}\n")
        return Answer(err=warning + self._run(folder, flags))

    def _run(self, folder: Path, flags: dict[str, str]) -> str:
        start = time.perf_counter()
        model = self._load(folder / flags["graph"], int(flags["num_threads"]))
        (source,), (result,) = model.get_input_details(), model.get_output_details()
        name, _, path = flags["input_layer_value_files"].partition(":")
        assert name == flags["input_layer"]
        assert [*map(int, flags["input_layer_shape"].split(","))] == [*source["shape"]]
        values = np.fromfile(folder / path, source["dtype"])
        model.set_tensor(source["index"], values.reshape(source["shape"]))
        init_us = int((time.perf_counter() - start) * 1e6)
        warm = self._times(model, int(flags["warmup_runs"]), float(flags["warmup_min_secs"]))
        steady = self._times(model, int(flags["num_runs"]), float(flags["min_secs"]))
        if "output_filepath" in flags:
            output = model.get_tensor(result["index"])
            (folder / flags["output_filepath"]).write_bytes(
                (output[..., ::-1] if self.wrong else output).tobytes()
            )
        return (
            "INFO: STARTING!\nINFO: Log parameter values verbosely: [0]\n"
            "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
            "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely "
            "executed by the delegate.\n"
            f"INFO: Initialized session in {init_us / 1000}ms.\n"
            f"INFO: {self._statistics(warm)}\n\nINFO: {self._statistics(steady)}\n\n"
            f"INFO: Inference timings in us: Init: {init_us}, First inference: {warm[0]}, "
            f"Warmup (avg): {np.mean(warm):.6g}, Inference (avg): {np.mean(steady):.6g}\n"
            "INFO: Note: as the benchmark tool itself affects memory footprint, the following is "
            "only APPROXIMATE to the actual memory footprint of the model at runtime.\n"
        )

    def _load(self, path: Path, threads: int) -> Any:
        key = (path.name, threads)
        if key not in self._models:
            self._models[key] = load_interpreter(path.read_bytes(), threads)
        return self._models[key]

    def _times(self, model: Any, runs: int, seconds: float) -> list[int]:
        times: list[int] = []
        end = time.perf_counter() + seconds
        while len(times) < runs or time.perf_counter() < end:
            start = time.perf_counter_ns()
            model.invoke()
            times.append(max(1, (time.perf_counter_ns() - start) // 1000))
        return times

    def _statistics(self, times: list[int]) -> str:
        count, newest, ordered = len(times), times[-1], sorted(times)
        if len(set(times)) == 1:
            text = f"count={count} curr={newest}" + "(all same)" * (count > 1)
        else:
            text = (
                f"count={count} first={times[0]} curr={newest} min={ordered[0]} max={ordered[-1]} "
                f"avg={np.mean(times):.6g} std={int(np.std(times))}"
            )
        if not self.percentiles:
            return text
        p5, median, p95 = (ordered[count * share // 100] for share in (5, 50, 95))
        return f"{text} p5={p5} median={median} p95={p95}"
