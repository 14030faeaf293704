"""tflite-runtime in an environment of its own: it needs numpy below 2, which hwnas does not run on.

One worker process per backend holds all sessions. It times runs itself, so that no figure contains
the way there and back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import UserError
from hwnas.targets.tflite.runtime import ChannelsLast, spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

VARIABLE = "HWNAS_TFLITE_PYTHON"
"""Environment variable that names the Python to use, before the profile's `python`."""

DEFAULT_PYTHON = ".venv/tflite-runtime/bin/python"

SET_UP = (
    "python3.11 -m venv .venv/tflite-runtime && .venv/tflite-runtime/bin/pip install "
    '"tflite-runtime==2.14.*" "numpy<2"'
)

WORKER = Path(__file__).with_name("worker.py")
STOP_S = 5


class RemoteRuntime:
    """tflite-runtime under another Python, started when it is first needed."""

    def __init__(self, python: str | None = None) -> None:
        """Take the Python of `HWNAS_TFLITE_PYTHON`, else this one, else the default."""
        self._python = os.environ.get(VARIABLE) or python or DEFAULT_PYTHON
        self._worker: _Worker | None = None

    def version(self) -> str:
        """Return tflite-runtime's version, once it has loaded a model: importing proves little.

        Raises:
            UserError: there is no such Python, or tflite-runtime does not work in it.
        """
        from hwnas.graph import INPUT, GraphBuilder
        from hwnas.targets.shared.format import Content
        from hwnas.targets.tflite.emitter import emit

        builder = GraphBuilder((1, 1, 1))
        builder.add("sum", INPUT, INPUT)
        session = self.load(emit(Content(builder.build(), {})))
        session.run()
        return session.version

    def load(self, model: bytes, threads: int = 1) -> RemoteSession:
        """Load a serialised model.

        Raises:
            UserError: there is no such Python, or tflite-runtime does not work in it.
        """
        return RemoteSession(self._started(), model, threads)

    def _started(self) -> _Worker:
        if self._worker is None:
            self._worker = _Worker(self._python)
        return self._worker


class RemoteSession(ChannelsLast):
    """One loaded model in the worker."""

    def __init__(self, worker: _Worker, model: bytes, threads: int) -> None:
        self._worker = worker
        self._number = next(worker.numbers)
        fields = {"threads": threads, "number": self._number, "dropped": worker.take_dropped()}
        answer = worker.ask("load", model, **fields)
        weakref.finalize(self, worker.dropped.append, self._number)
        self.version: str = answer["version"]
        super().__init__([*map(spec, answer["inputs"])], [*map(spec, answer["outputs"])])
        self._write_steady()

    def run(self) -> None:
        """Run once on the input that was written last."""
        self._ask("run")

    def elapsed_ms(self) -> float:
        """Return the time of one run in milliseconds, right after an untimed one."""
        return float(self._ask("time")["ms"])

    def _write(self, stored: NDArray[Any]) -> None:
        self._ask("feed", np.ascontiguousarray(stored).tobytes())

    def _read(self) -> NDArray[Any]:
        content = self._ask("read")["payload"]
        return np.frombuffer(content, self._result.dtype).reshape(self.interface.output_shape)

    def _ask(self, what: str, payload: bytes = b"") -> dict[str, Any]:
        return self._worker.ask(what, payload, number=self._number)


class _Worker:
    """The process, and the conversation with it."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.numbers = itertools.count()
        self.dropped: list[int] = []
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own Python
                [python, "-I", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is for hwnas, which then closes the pipe
            )
        except OSError as error:
            self._log.close()
            raise UserError(
                f"tflite-runtime needs a Python of its own, but {python!r} does not start "
                f"({error.strerror}). Set one up: {SET_UP}. Or name it in {VARIABLE}, or as "
                "`python` in the target's profile."
            ) from None
        weakref.finalize(self, _stop, self._process, self._log)

    def take_dropped(self) -> list[int]:
        """Return the numbers of sessions that nobody holds any more, once.

        Collecting garbage only notes them: it may happen in the middle of a conversation.
        """
        return [self.dropped.pop() for _ in range(len(self.dropped))]

    def ask(self, what: str, payload: bytes = b"", **fields: Any) -> dict[str, Any]:
        """Send one request and return the fields of its answer, its bytes as "payload".

        Raises:
            UserError: the worker is gone, or could not do it.
        """
        request = {"do": what, "bytes": len(payload), "cores": _cores(), **fields}
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None  # noqa: S101 - both are pipes
        assert answers is not None  # noqa: S101
        try:
            requests.write(json.dumps(request).encode() + b"\n" + payload)
            requests.flush()
            line = answers.readline()
        except OSError:
            line = b""
        if not line:
            raise self._gone(what)
        answer: dict[str, Any] = json.loads(line)
        answer["payload"] = answers.read(answer["bytes"])
        if "unusable" in answer:
            raise UserError(
                f"tflite-runtime cannot run it ({answer['unusable']}): not a TFLite model, a "
                "truncated one, or one for a newer runtime."
            )
        if "error" in answer:
            raise UserError(
                f"tflite-runtime does not work in {self._python}: {answer['error']}. It needs "
                f'"tflite-runtime==2.14.*" and "numpy<2": {SET_UP}.'
            )
        return answer

    def _gone(self, what: str) -> UserError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        code = self._process.returncode
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip().splitlines()
        last = f", its last words: {said[-1]}" if said else ""
        why = "The same command starts a new one."
        if what == "load" and not said:  # it does not verify files before it reads them
            why = f"A truncated or damaged model may be the reason. {why}"
        return UserError(
            f"tflite-runtime's process ({self._python}) ended with code {code}{last}. {why}"
        )


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _stop(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Close the worker's standard input, at which it ends."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # unsent bytes for a process that is gone
                pipe.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()
