"""A program that starts hosts and devices as processes of their own, which tests may kill.

It reads {"role": "host" | "device", "folder": ..., "port": ...} line by line, forks, and answers
with the process's number. Forked, they are at work at once: kills reach the work, not the imports.
It ends with its standard input, and all that it has started end with it, however it was ended.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import agent_server
import agents
import numpy as np

from hwnas.agent.host import Host
from hwnas.agent.http.address import listen
from hwnas.agent.model_files import ModelFiles
from hwnas.profiler.recording import Recording, TimedRound, open_rounds, rounds_done
from hwnas.progress import Silent
from hwnas.resources import shipped

JOBS = agents.jobs(10)
HARNESS = shipped("export") / "linux" / "hwnas_bench.py"
PACE_S = 0.002
"""Between two rounds that are put on record, and of one run of a model."""


def load_harness() -> Any:
    """Return the harness for boards as a module of its own, with short pauses."""
    spec = importlib.util.spec_from_file_location("hwnas_bench", HARNESS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.FIRST_PAUSE_S, module.LONGEST_PAUSE_S = 0.01, 0.05
    module.runtime_for = lambda _name: FakeRuntime()
    return module


class FakeRuntime:
    """Runs the models of `agents`: nothing is computed, and it takes a while."""

    name, version = "tflite", "2.1"

    def load(self, model: bytes, _threads: int, _entry: Any) -> tuple[Any, Any]:
        """Return (run, output) of a model."""
        return lambda: time.sleep(PACE_S), lambda: np.array(agents.output(model))


def read_recording(folder: Path) -> Recording[TimedRound]:
    """Return what is on record."""
    return open_rounds(folder / "record.jsonl", {"device": "board"}, fresh=False)


def host(folder: Path, port: int) -> None:
    """Have all jobs done, and put their rounds on record, as the profiler does."""
    recording = read_recording(folder)
    models = ModelFiles(folder / "models")
    for name in [*agents.PANEL, *(name for job in JOBS for name in job.networks)]:
        models.add(agents.content(name))
    side = Host(folder / "state.json", folder / "agent.log", agents.BRIEF, models, Silent())
    with listen("127.0.0.1", port) as bound, side.listening(bound, None, agent_server.QUICK):
        side.device()
        missing = [(job, job.rounds - rounds_done(recording, job.number)) for job in JOBS]
        due = [job.model_copy(update={"rounds": n}) for job, n in missing if n > 0]
        for job, following in zip(due, [*due[1:], None], strict=True):
            side.session.ask(agents.work(job))
            if following is not None:
                side.session.announce(agents.work(following))
            with side.result() as result:
                for samples in result.rounds:
                    recording.append((job.number, samples))
                    time.sleep(PACE_S)
        side.finish()


def device(folder: Path, port: int) -> None:
    """Work until all is done; its clock stands in the year 1970."""
    time.time = lambda: 1.0
    harness = load_harness()
    harness.run_agent(
        SimpleNamespace(
            token=agents.TOKEN,
            agent=f"http://127.0.0.1:{port}",
            pin=None,
            cache=folder / "device",
            cache_mb=1,
            cores=None,
            power_sensor=None,
        )
    )


def _end_with(starter: int) -> None:
    """End this process when nobody holds the other end of a pipe any more."""

    def watch() -> None:
        os.read(starter, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _child(asked: dict[str, Any]) -> None:
    folder = Path(asked["folder"])
    log = os.open(folder / f"{asked['role']}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    {"host": host, "device": device}[asked["role"]](folder, asked["port"])
    (folder / f"{asked['role']}.done").touch()


def main() -> None:
    """Fork for every line; whoever ends is no longer there at once."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    watched, held = os.pipe()
    for line in sys.stdin:
        number = os.fork()
        if not number:
            try:
                os.close(held)
                _end_with(watched)
                _child(json.loads(line))
            except BaseException:  # noqa: BLE001 - it must not become a second starter
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(0)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
