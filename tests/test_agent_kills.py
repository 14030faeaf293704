"""Hosts and devices that are killed, connections that are cut: every sample counts once."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import agent_processes
import agents
import pytest
from agent_processes import JOBS, read_recording

from hwnas.agent.session.state import write_state

if TYPE_CHECKING:
    from collections.abc import Iterator


class Wire(threading.Thread):
    """Passes bytes on between a device and a host, and cuts every connection at some byte."""

    def __init__(self, host_port: int, seed: int, *, cuts: bool) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cuts = 0
        self._host_port, self._rng, self._cuts = host_port, random.Random(seed), cuts
        self.start()

    def run(self) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._host_port))
                except OSError:
                    near.close()
                    continue
                left = self._rng.randrange(100, 4_000) if self._cuts else 1 << 40
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(*pair, left), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, left: int) -> None:
        with suppress(OSError):
            while data := source.recv(min(4096, left)):
                sink.sendall(data)
                left -= len(data)
                if not left:
                    self.cuts += 1
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def starter() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, agent_processes.__file__]
    root = Path(agent_processes.__file__).parents[1]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        yield program
        assert program.stdin is not None
        program.stdin.close()


def _start(program: subprocess.Popen[str], role: str, folder: Path, port: int) -> int:
    assert program.stdin is not None
    assert program.stdout is not None
    told = {"role": role, "folder": str(folder), "port": port}
    program.stdin.write(json.dumps(told) + "\n")
    program.stdin.flush()
    return int(program.stdout.readline())


def _kill(number: int) -> bool:
    """Kill a process and wait until it is gone; return whether it was there."""
    was_there = False
    with suppress(ProcessLookupError):
        while True:
            os.kill(number, signal.SIGKILL)
            was_there = True
            time.sleep(0.002)
    return was_there


def _errors(folder: Path) -> str:
    return "\n".join(path.read_text()[-2000:] for path in folder.glob("*.err"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("killed", "cuts"),
    [(("host", "device"), False), ((), True), (("host", "device"), True)],
    ids=["kills", "cuts", "both"],
)
def test_whatever_is_killed_or_cut_every_sample_is_there_once(
    tmp_path: Path, killed: tuple[str, ...], cuts: bool
) -> None:
    rng, host_port, kills = random.Random(7), _free_port(), Counter[str]()
    write_state(tmp_path / "state.json", agents.new_state())
    wire = Wire(host_port, seed=1, cuts=cuts)
    ports = {"host": host_port, "device": wire.port}
    deadline = time.monotonic() + 60
    with starter() as program:
        running = {role: _start(program, role, tmp_path, port) for role, port in ports.items()}
        while not (tmp_path / "host.done").exists():
            assert time.monotonic() < deadline, _errors(tmp_path)
            time.sleep(rng.uniform(0.02, 0.5))
            role = rng.choice(killed) if killed else ""
            if killed and kills[role] < 4 and _kill(running[role]):
                running[role] = _start(program, role, tmp_path, ports[role])
                kills[role] += 1
        _kill(running["device"])  # which may have been killed before it heard that all is done
    wire.listener.close()
    assert all(kills[role] >= 2 for role in killed)
    assert "Traceback" not in _errors(tmp_path)
    assert wire.cuts >= (5 if cuts else 0)
    rounds = read_recording(tmp_path).entries
    assert len({json.dumps(samples) for _, samples in rounds}) == len(rounds)
    assert Counter((number, name) for number, samples in rounds for name, _ in samples) == {
        (job.number, name): job.rounds for job in JOBS for name in (*agents.PANEL, *job.networks)
    }


PARENT = """
import sys, time
from pathlib import Path
import test_agent_kills as kills

folder, ports = Path(sys.argv[1]), map(int, sys.argv[2:])
with kills.starter() as program:  # host and device wait for each other, at different ports
    roles = [kills._start(program, *each) for each in zip(("host", "device"), [folder] * 2, ports)]
    print(program.pid, *roles, flush=True)
    time.sleep(600)
"""


def _runs(number: str) -> bool:
    """Return whether a process is there and no zombie, which nobody may reap in a container."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux what runs")
@pytest.mark.parametrize("killed", ["the test run", "the starter"])
def test_nothing_outlives_who_started_it(tmp_path: Path, killed: str) -> None:
    write_state(tmp_path / "state.json", agents.new_state())
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(_free_port()), str(_free_port())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        started = parent.stdout.readline().split()
        try:
            assert len(started) == 3
            assert all(map(_runs, started))
            os.kill(int(started[0]) if killed == "the starter" else parent.pid, signal.SIGKILL)
            deadline = time.monotonic() + 10
            while any(map(_runs, started)):
                assert time.monotonic() < deadline, f"still there: {[*filter(_runs, started)]}"
                time.sleep(0.02)
        finally:
            parent.kill()
            for number in filter(_runs, started):
                os.kill(int(number), signal.SIGKILL)
