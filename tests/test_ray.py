"""Ray: the same search on a cluster, whose tasks may die and leave nothing behind."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import searching
from conftest import COMMAND, Done, Shell
from searching import MORTAL, SPACE, comparable, run

from hwnas.errors import UserError
from hwnas.evaluate.workers.ray_tasks import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("ray", reason="Ray is not installed")

ROOT = str(Path(searching.__file__).parents[1])
CLUSTER = """
import sys, ray
ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""
SEARCH = """
import json, sys
from pathlib import Path
from searching import run
if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(run(Path(given.pop("folder")), **given)))
"""


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """The environment of a cluster that only these tests may use."""
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    paths = os.pathsep.join([ROOT, str(Path(ROOT) / "tests")])
    return {**os.environ, **own, "PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def cluster(settings: dict[str, str]) -> Iterator[str]:
    """The address of a cluster of two processors; it ends with the program that holds it."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], env=settings, **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        address = holder.stdout.readline().strip()
        assert address
        yield address
        holder.stdin.close()


def _search(settings: dict[str, str], folder: Path, **arguments: Any) -> dict[str, Any]:
    command = [sys.executable, "-c", SEARCH, json.dumps({"folder": str(folder), **arguments})]
    done = subprocess.run(
        command, env=settings, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_cluster_finds_what_one_process_finds_though_a_task_is_killed(
    tmp_path: Path, settings: dict[str, str], cluster: str
) -> None:
    found = _search(settings, tmp_path / "ray", ray=cluster, deaths=1, spread_s=0.02)
    assert comparable(found) == comparable(run(tmp_path / "here"))
    assert (tmp_path / "ray" / "log.deaths").read_text() == "died\n"
    assert 0 < found["ahead"]["used"] <= found["ahead"]["evaluated"]
    logged = (tmp_path / "ray" / "log").read_text().splitlines()
    # Stopped to repeat the killed one alone, the other task may have been in work.
    assert len(logged) - len(set(logged)) <= 1


def test_a_network_whose_task_is_killed_twice_is_recorded_as_failed(
    tmp_path: Path, settings: dict[str, str], cluster: str
) -> None:
    found = _search(settings, tmp_path / "ray", ray=cluster, deaths=2, limit=45)
    (reason,) = found["failed"].values()
    assert list(found["failed"]) == [SPACE.format(MORTAL)]
    assert reason.startswith("the evaluating Ray task died")


def test_ctrl_c_leaves_no_tasks(tmp_path: Path, settings: dict[str, str], cluster: str) -> None:
    arguments = {"folder": str(tmp_path / "ray"), "ray": cluster, "spread_s": 2}
    command = [sys.executable, "-c", SEARCH, json.dumps(arguments)]
    with subprocess.Popen(
        command, env=settings, start_new_session=True, stderr=subprocess.PIPE, text=True
    ) as search:
        log = tmp_path / "ray" / "log"
        deadline = time.monotonic() + 60
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(search.pid, signal.SIGINT)
        assert search.stderr is not None
        assert "KeyboardInterrupt" in search.stderr.read()
    lines = log.read_text()
    time.sleep(2.5)
    assert log.read_text() == lines


def test_the_command_starts_a_cluster_of_its_own(tmp_path: Path, settings: dict[str, str]) -> None:
    search = ("search", "--space", "rcnet-cifar10", "--budget-params", "0.8M")
    options = ("--evaluator", "fake", "--max-evaluations", "40", "--json")
    found = []
    for name, more in (("here", ()), ("ray", ("--ray", "local", "--workers", "2"))):
        done = subprocess.run(
            [*COMMAND, *search, *options, "--run", name, *more],
            cwd=tmp_path, env=settings, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        found.append(Done(done.returncode, done.stdout, done.stderr).must().json)
    assert comparable(found[0]) == comparable(found[1])


def test_a_cluster_that_is_not_there_is_one_line(shell: Shell) -> None:
    search = ("search", "--space", "rcnet-cifar10", "--budget-params", "0.8M")
    told = shell(*search, "--evaluator", "fake", "--ray", "127.0.0.1:1").must(2).err
    assert "no Ray cluster can be reached at 127.0.0.1:1" in told.splitlines()[-1]


def test_a_missing_package_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r'pip install "hwnas\[ray\]"'), connected("auto"):
        pass
