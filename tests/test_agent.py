"""A profile by a device over HTTP: the command, the real harness beside it, and the table."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from agent_server import Told
from bundles import HARNESS, SPACE, WITHOUT_HWNAS, small_plan

from hwnas.agent.http.address import Certificate, is_private, listen, parse_address, url
from hwnas.device import describe_host, find_target
from hwnas.errors import UserError
from hwnas.lut.storage import load
from hwnas.workflows.profile.agent import profile_by_agent
from hwnas.workflows.profile.options import USUAL, ProfileOptions
from hwnas.workflows.profile.profiled import Profiling

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shell


class Board(Told):
    """Reads what is to be done on the device, and does it."""

    def __init__(self, cache: Path) -> None:
        super().__init__()
        self.cache = cache
        self.harness: subprocess.Popen[str] | None = None

    def info(self, message: str) -> None:
        super().info(message)
        if (found := re.search(r"python3 hwnas_bench.py (--agent .*)", message)) is not None:
            options = [*shlex.split(found[1]), "--cache", str(self.cache)]
            command = [sys.executable, "-c", WITHOUT_HWNAS, str(HARNESS), *options]
            self.harness = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def ended(self) -> str:
        """Return what the harness said, once it has ended well."""
        assert self.harness is not None
        _, said = self.harness.communicate(timeout=30)
        assert self.harness.returncode == 0, said
        return said


@pytest.mark.parametrize("target", ["onnx-cpu", "tflite"])
def test_what_is_shown_is_run_on_the_device_and_the_table_is_written(
    target: str, tmp_path: Path
) -> None:
    profile, plan, board = find_target(target), small_plan(), Board(tmp_path / "cache")
    done = profile_by_agent(Profiling(profile, SPACE, tmp_path, board), "0", plan)
    said = board.ended()
    assert "done: " in said
    table = load(done.folder)
    rounds = len(plan.batches) * plan.rounds
    assert set(table.rows) == set(SPACE.lookup_keys())
    assert {row.source for row in table.rows.values()} == {"measured"}
    assert all(rounds <= row.samples < 1.5 * rounds + 3 for row in table.rows.values())
    assert table.meta["validation"]["networks"] == 30
    assert table.meta["device"]["cpu"] == describe_host()["cpu"]
    assert table.meta["harness"] == "linux 1"
    assert table.meta["runtime"]["version"]
    assert not (tmp_path / "lut" / ".partial").exists()
    text = (tmp_path / "lut" / "agent.log").read_text()
    assert '"status": 200' in text
    token = re.search(r"--token ([0-9a-f]{40})", "\n".join(board.lines))
    assert token is not None
    assert token[1] not in text


HOST = """
import sys
from dataclasses import replace
from pathlib import Path
from agent_server import Told
from bundles import SPACE, small_plan
from hwnas.device import find_target
from hwnas.workflows.profile.agent import profile_by_agent
from hwnas.workflows.profile.profiled import Profiling

class Shown(Told):
    def info(self, message):
        print(message, flush=True)

plan = replace(small_plan(), batch=11)
profiling = Profiling(find_target("tflite"), SPACE, Path(), Shown())
profile_by_agent(profiling, sys.argv[1], plan)
"""


def _start_host(folder: Path, port: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", HOST, str(port)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def _recorded(folder: Path) -> int:
    path = folder / "lut" / ".partial" / f"tflite-{SPACE.name}.agent.jsonl"
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def test_a_profile_whose_host_is_killed_goes_on_with_the_same_device(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    board, deadline = Board(tmp_path / "cache"), time.monotonic() + 90
    with _start_host(tmp_path, port) as host:
        assert host.stdout is not None
        while board.harness is None:
            board.info(host.stdout.readline() + host.stdout.readline())
        while _recorded(tmp_path) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        host.kill()
    kept = _recorded(tmp_path)
    with _start_host(tmp_path, port) as host:
        told, _ = host.communicate(timeout=90)
        assert host.returncode == 0
    assert "paired before" in told
    assert f"resuming: {kept} of 12 rounds" in told
    assert "done: " in board.ended()
    table = load(tmp_path / "lut" / "tflite" / SPACE.name)
    samples = {row.samples for row in table.rows.values()}
    assert len(samples) == 1
    assert 12 <= samples.pop() <= 12 + 3


def test_ctrl_c_and_the_same_command_again(shell: Shell) -> None:
    command = ["profile", "--target", "onnx-cpu", "--space", "rcnet-digits", "--listen", "0"]
    shown = []
    for _ in range(2):
        running = shell.start(*command)
        assert running.stderr is not None
        lines = []
        while "listening" not in "".join(lines):
            lines.append(running.stderr.readline())
            assert lines[-1]
        if not shown:
            lines.append(running.stderr.readline())
        shown.append("".join(lines))
        running.send_signal(signal.SIGINT)
        _, rest = running.communicate(timeout=30)
        assert running.returncode == 130
        assert "the same command goes on" in rest
        assert "Traceback" not in rest
    assert "--token" in shown[0]
    assert "--token" not in shown[1]
    assert "--new-token shows a new one" in shown[1]


def test_options_that_cannot_be_are_one_line(shell: Shell, tmp_path: Path) -> None:
    base = ("profile", "--target", "onnx-cpu", "--space", "rcnet-digits")
    for options, reason in {
        ("--new-token",): "needs --listen",
        ("--listen", "nonsense"): "is not PORT, HOST:PORT",
        ("--listen", "0", "--emit", "b"): "give one of them",
    }.items():
        done = shell(*base, *options)
        assert reason in done.must(2).err
        assert len(done.err.strip().splitlines()) == 1


def test_what_stands_in_the_way_is_told_before_anything_is_made(tmp_path: Path) -> None:
    def start(target: str, address: str, options: ProfileOptions = USUAL) -> None:
        profiling = Profiling(find_target(target), SPACE, tmp_path, Told())
        profile_by_agent(profiling, address, small_plan(), options)

    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserError, match="Address already in use"),
    ):
        start("onnx-cpu", str(taken.getsockname()[1]))
    with pytest.raises(UserError, match="go together"):
        start("onnx-cpu", "0", ProfileOptions(tls_cert=tmp_path / "c.pem"))
    for target in ("iphone5s", "android"):
        with pytest.raises(UserError, match=f"{target} is measured through a cable"):
            start(target, "0")
    with pytest.raises(UserError, match="cannot listen on no-such-host"):
        start("onnx-cpu", "no-such-host.invalid:1")


def test_without_the_server_the_package_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; from hwnas.cli import main; sys.argv[1:] = "
        "['profile', '--target', 'onnx-cpu', '--space', 'rcnet-digits', '--listen', '0']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == 'hwnas: --listen needs uvicorn: pip install "hwnas[agent]"\n'


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8765", "127.0.0.1", 8765),
        ("0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104 - only read
        ("board.local:8765", "board.local", 8765),
        ("[::1]:8765", "::1", 8765),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
    ],
)
def test_where_to_listen(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize("text", ["", "host", "host:", ":80", "1:2:3", "::1:80", "h:99999", "h:-1"])
def test_where_not_to_listen(text: str) -> None:
    with pytest.raises(UserError, match="for example 8765"):
        parse_address(text)


def test_only_loopback_is_private_and_the_device_is_told_an_address_it_can_reach() -> None:
    with listen(*parse_address("0")) as bound:
        assert is_private(bound)
        assert url(bound, tls=False) == f"http://127.0.0.1:{bound.getsockname()[1]}"
    with listen(*parse_address("0.0.0.0:0")) as bound:
        assert not is_private(bound)
        assert "0.0.0.0" not in url(bound, tls=True)  # noqa: S104 - only compared
        assert url(bound, tls=True).startswith("https://")


def test_what_is_no_certificate_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("none")
    with pytest.raises(UserError, match="not a certificate and its key"):
        Certificate(tmp_path / "a.pem", tmp_path / "a.pem").check()
    with pytest.raises(UserError, match="No such file"):
        Certificate(tmp_path / "b.pem", tmp_path / "b.pem").check()
