"""The other end of `remote.py`: runs models under the tflite-runtime of the Python that runs this.

Needs the standard library, numpy and tflite-runtime only, from Python 3.8 on. A message is one line
of JSON, followed by as many bytes as its field "bytes" says. Every request gets one answer.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from typing import Any, Dict  # noqa: UP035 - the old name, for old Pythons

Fields = Dict[str, Any]  # noqa: UP006


class Sessions:
    """Loaded models by number; each method serves one kind of request."""

    def __init__(self) -> None:
        self._interpreters: dict[int, Any] = {}

    def load(self, request: Fields) -> Fields:
        """Load "payload" as "number" and drop those that are "dropped"."""
        from tflite_runtime.interpreter import Interpreter

        for number in request["dropped"]:
            del self._interpreters[number]
        try:
            model = Interpreter(model_content=request["payload"], num_threads=request["threads"])
            model.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            return {"unusable": " ".join(str(error).split()).rstrip(".")}
        self._interpreters[request["number"]] = model
        return {
            "version": importlib.metadata.version("tflite-runtime"),
            "inputs": [_describe(tensor) for tensor in model.get_input_details()],
            "outputs": [_describe(tensor) for tensor in model.get_output_details()],
        }

    def feed(self, request: Fields) -> Fields:
        """Write "payload" into the input."""
        import numpy as np

        model = self._interpreters[request["number"]]
        (source,) = model.get_input_details()
        values = np.frombuffer(request["payload"], source["dtype"]).reshape(source["shape"])
        model.set_tensor(source["index"], values)
        return {}

    def run(self, request: Fields) -> Fields:
        """Run once."""
        self._interpreters[request["number"]].invoke()
        return {}

    def time(self, request: Fields) -> Fields:
        """Time the second of two runs, as hwnas/measure.py does in its own process."""
        run = self._interpreters[request["number"]].invoke
        run()
        start = time.perf_counter_ns()
        run()
        return {"ms": (time.perf_counter_ns() - start) / 1e6}

    def read(self, request: Fields) -> Fields:
        """Return the output."""
        model = self._interpreters[request["number"]]
        (result,) = model.get_output_details()
        return {"payload": model.get_tensor(result["index"]).tobytes()}


def _describe(tensor: Fields) -> Fields:
    scale, zero_point = tensor["quantization"]
    return {
        "name": tensor["name"],
        "shape_signature": [int(size) for size in tensor["shape_signature"]],
        "shape": [int(size) for size in tensor["shape"]],
        "dtype": tensor["dtype"].__name__,
        "quantization": [float(scale), int(zero_point)],
    }


def _pin(cores: list[int]) -> None:
    """Run where the asking process runs, so that pinning that one pins this one too."""
    if cores and set(cores) != os.sched_getaffinity(0):
        os.sched_setaffinity(0, cores)


def _answer(sessions: Sessions, request: Fields) -> Fields:
    try:
        _pin(request["cores"])
        fields: Fields = getattr(sessions, request["do"])(request)
    except BaseException as error:  # noqa: BLE001 - told to the asking process
        return {"error": f"{type(error).__name__}: {error}"}
    return fields


def main() -> None:
    """Answer requests until standard input is closed."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    sessions = Sessions()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        request["payload"] = sys.stdin.buffer.read(request["bytes"])
        fields = _answer(sessions, request)
        payload = fields.pop("payload", b"")
        answers.write(json.dumps({**fields, "bytes": len(payload)}).encode() + b"\n" + payload)
        answers.flush()


if __name__ == "__main__":
    main()
