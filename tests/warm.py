"""Commands in processes that begin with the large packages imported.

Importing them takes longer than most commands do. A server imports them once and forks for every
command, which then has folder, environment, arguments and output of its own, and imports hwnas
itself and whatever else it needs.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PACKAGES = ("numpy", "pandas", "scipy.optimize", "sklearn.datasets", "torch")
"""What hwnas always needs; not runtimes, which it has to import quietly and only when asked."""


@dataclass
class Server:
    """Runs one command at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `hwnas` with some arguments, as `subprocess.run` would."""
        with self.lock, tempfile.TemporaryDirectory() as outputs:
            out, err = Path(outputs) / "out", Path(outputs) / "err"
            request = {
                "arguments": list(arguments),
                "folder": str(folder),
                "environment": dict(environment),
                "outputs": [os.devnull, str(out), str(err)],
                "timeout": timeout,
            }
            code = self._answer(json.dumps(request))
            if code is None:
                raise subprocess.TimeoutExpired(list(arguments), timeout)
            return subprocess.CompletedProcess(
                list(arguments), code, out.read_text(), err.read_text()
            )

    def _answer(self, request: str) -> int | None:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            atexit.register(self.process.communicate)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        code: int | None = json.loads(self.process.stdout.readline())
        return code


SERVER = Server()


def serve() -> None:
    """Answer every line of standard input with an exit code, or null after the time limit."""
    for package in PACKAGES:
        importlib.import_module(package)
    gc.freeze()
    while line := sys.stdin.readline():
        request = json.loads(line)
        process = os.fork()
        if process == 0:
            return command(request)  # ends as the program itself would
        print(json.dumps(_ended(process, time.monotonic() + request["timeout"])), flush=True)
    return None


def command(request: dict[str, Any]) -> None:
    """Be `python -m hwnas`."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, path in enumerate(request["outputs"]):
        opened = os.open(path, os.O_RDWR | (os.O_CREAT if number else 0))
        os.dup2(opened, number)
        os.close(opened)
    sys.path[0] = request["folder"]
    sys.argv = ["hwnas", *request["arguments"]]
    runpy.run_module("hwnas", run_name="__main__", alter_sys=True)


def _ended(process: int, deadline: float) -> int | None:
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


if __name__ == "__main__":
    serve()
