"""The harness as an agent: what it keeps, what it asks again, and what it tells."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import agents
import pytest
from agent_processes import HARNESS, load_harness
from agent_server import Served, serving
from bundles import WITHOUT_HWNAS

from hwnas.agent.http.address import Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "host") as served:
        yield served


@pytest.fixture
def harness() -> Any:
    return load_harness()


@pytest.fixture
def store(harness: Any, tmp_path: Path) -> Iterator[Any]:
    made = harness.Store(tmp_path / "cache", 10**6)
    yield made
    made.close()


@pytest.fixture
def side(harness: Any, host: Served) -> Iterator[Any]:
    """The harness's idea of the host."""
    made = harness.Host(f"http://127.0.0.1:{host.port}", agents.TOKEN)
    yield made
    made.close()


def entry(name: str) -> dict[str, Any]:
    return agents.timed(name).model_dump(mode="json")


def started(host: Served, folder: Path, **changes: Any) -> SimpleNamespace:
    """Return the command line of an agent."""
    told = {
        "agent": f"http://127.0.0.1:{host.port}",
        "token": agents.TOKEN,
        "pin": None,
        "cache": folder / "cache",
        "cache_mb": 1,
        "cores": None,
        "power_sensor": None,
    }
    return SimpleNamespace(**(told | changes))


def as_process(host: Served, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the harness as a person does."""
    where = f"http://127.0.0.1:{host.port}"
    command = [sys.executable, "-c", WITHOUT_HWNAS, str(HARNESS), "--agent", where]
    return subprocess.run(
        [*command, "--cache", str(folder / "cache"), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "HWNAS_TOKEN": ""},
    )


def test_a_wrong_token_and_no_token_are_one_line(host: Served, tmp_path: Path) -> None:
    for options, reason in (
        (["--token", "c" * 40], "refuses: wrong token"),
        ([], "--agent needs --token"),
        (["--token", "c", "--pin", "a" * 64], "--pin goes with https://"),
    ):
        done = as_process(host, tmp_path, *options)
        assert done.returncode == 2
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_another_device_is_told_whose_the_profile_is(
    host: Served, harness: Any, tmp_path: Path
) -> None:
    host.pair()
    with pytest.raises(harness.Problem, match="refuses: this profile is of another device, board"):
        harness.run_agent(started(host, tmp_path))


def test_a_host_of_another_version_is_told(host: Served, harness: Any, tmp_path: Path) -> None:
    harness.AGENT = "hwnas-agent/9"
    with pytest.raises(harness.Problem, match="speaks hwnas-agent/1, this harness hwnas-agent/9"):
        harness.run_agent(started(host, tmp_path))


@pytest.mark.parametrize(
    "url", ["nonsense", "http://host", "ftp://h:1", "http://:80", "http://h:port", "file:///etc"]
)
def test_addresses_that_are_none(harness: Any, url: str) -> None:
    with pytest.raises(harness.Problem, match="is not http://HOST:PORT"):
        harness.Host(url, agents.TOKEN)


def test_two_harnesses_do_not_disturb_each_other(harness: Any, store: Any, tmp_path: Path) -> None:
    with pytest.raises(harness.Problem, match="another hwnas_bench"):
        harness.Store(tmp_path / "cache", 1000)
    store.close()
    again = harness.Store(tmp_path / "cache", 1000)
    again.close()
    assert again.device_id == store.device_id


def test_models_are_kept_checked_and_bounded(
    host: Served, side: Any, store: Any, tmp_path: Path
) -> None:
    size = len(agents.content("part-1"))
    store._most_bytes = int(2.5 * size)
    kept = tmp_path / "cache" / "models"
    fetched = lambda: sum("/v1/models/" in line["path"] for line in host.log())  # noqa: E731
    for _ in range(2):
        assert store.model(side, "part-1", entry("part-1"))[1] == agents.content("part-1")
    path = kept / agents.timed("part-1").sha256
    path.write_bytes(b"damaged" + path.read_bytes()[7:])
    assert store.model(side, "part-1", entry("part-1"))[1] == agents.content("part-1")
    for name in ("part-2", "reference"):
        store.model(side, name, entry(name))
    assert sum(each.stat().st_size for each in kept.iterdir()) <= 2.5 * size
    time.sleep(0.1)
    assert fetched() == 4


def test_a_download_goes_on_where_it_was_cut(
    host: Served, side: Any, store: Any, tmp_path: Path
) -> None:
    digest, whole = agents.timed("part-1").sha256, agents.content("part-1")
    partial = tmp_path / "cache" / "models" / f"{digest}.part"
    partial.write_bytes(whole[:500])
    assert store.model(side, "part-1", entry("part-1"))[1] == whole
    partial.write_bytes(b"x" * 500)  # of a file that was damaged on the way
    (partial.parent / digest).unlink()
    assert store.model(side, "part-1", entry("part-1"))[1] == whole
    time.sleep(0.1)
    sent = [line["sent"] for line in host.log()]
    assert sent == [len(whole) - 500, len(whole) - 500, len(whole)]


def test_a_model_that_is_always_damaged_is_told(
    host: Served, harness: Any, side: Any, store: Any
) -> None:
    path = host.models.find(agents.timed("part-1").sha256)
    assert path is not None
    path.write_bytes(b"y" * len(agents.content("part-1")))
    with pytest.raises(harness.Problem, match="part-1 arrives damaged again and again"):
        store.model(side, "part-1", entry("part-1"))


def test_a_disk_without_room_is_one_line(harness: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(harness.Problem, match=r"cannot write .* --cache"):
        harness.Store(tmp_path / "file" / "cache", 1000)


def test_a_result_that_was_not_delivered_is_delivered_after_a_restart(
    host: Served, harness: Any, tmp_path: Path
) -> None:
    """The first harness ends with its result on disk; the next one delivers it before all else."""
    asked, job = started(host, tmp_path), agents.jobs(1)[0]
    for name in job.networks:
        host.models.add(agents.content(name))
    host.host.session.ask(agents.work(job))
    put_aside = harness.Store.put_aside

    def ends(store: Any, path: str, message: Any) -> None:
        put_aside(store, path, message)
        raise KeyboardInterrupt

    harness.Store.put_aside = ends
    with pytest.raises(KeyboardInterrupt):
        harness.run_agent(asked)
    harness.Store.put_aside = put_aside
    agent = threading.Thread(target=load_harness().run_agent, args=(asked,), daemon=True)
    agent.start()
    with host.host.result() as result:
        assert result.number == 0
    host.host.finish()
    agent.join(timeout=20)
    posts = [line["path"] for line in host.log() if "/v1/models/" not in line["path"]]
    again = posts.index("/v1/jobs/next") + 1
    assert posts[again : again + 3] == ["/v1/results", "/v1/session", "/v1/session"]
    assert posts.count("/v1/results") == 1


def test_a_board_that_has_to_stop_says_why_on_both_sides(
    host: Served, harness: Any, tmp_path: Path
) -> None:
    def too_warm(_bench: Any) -> None:
        raise harness.Problem("this board does not cool\x1b[31m down")

    harness.Bench._wait_until_cool = too_warm
    job = agents.jobs(1, networks=0)[0]
    host.host.session.ask(agents.work(job))
    with pytest.raises(harness.Problem, match="does not cool"):
        harness.run_agent(started(host, tmp_path))
    assert "the device has stopped: this board does not cool?[31m down" in host.told.lines[-1]


def test_a_result_for_another_host_is_dropped(host: Served, side: Any, store: Any) -> None:
    host.host.session.ask(agents.work(agents.jobs(1)[0]))
    offer = host.next(host.pair())
    store.put_aside("/v1/results", agents.delivery_json(offer) | {"lease": "0" * 32})
    store.deliver(side)
    store.deliver(side)
    time.sleep(0.1)
    assert [line["status"] for line in host.log() if line["path"] == "/v1/results"] == [409]


CA = """
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def _certificate(folder: Path) -> Certificate:
    """Return a certificate of its own authority that was good in 1970 only."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (folder / "ca.cnf").write_text(CA)
    (folder / "serial").write_text("01")
    (folder / "index.txt").touch()
    request = "req -new -newkey rsa:2048 -nodes -subj /CN=host -keyout key.pem -out request.pem"
    sign = "ca -batch -notext -selfsign -config ca.cnf -keyfile key.pem -in request.pem"
    dated = f"{sign} -out cert.pem -startdate 700101000000Z -enddate 710101000000Z"
    for command in (request, dated):
        done = subprocess.run(
            ["openssl", *command.split()], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return Certificate(folder / "cert.pem", folder / "key.pem")


def test_over_tls_the_pin_decides_and_the_token_is_shown_to_nobody_else(
    harness: Any, tmp_path: Path
) -> None:
    """Whatever the board's clock says: it would find this certificate long expired."""
    certificate = _certificate(tmp_path)
    certificate.check()
    with serving(tmp_path / "host", certificate=certificate) as host:
        where = f"https://127.0.0.1:{host.port}"
        good = harness.Host(where, agents.TOKEN, certificate.fingerprint)
        assert good.ask("GET", "/v1/session")["schema"] == "hwnas-agent/1"
        good.close()
        for pin, reason in ((None, "is not trusted"), ("0" * 64, "another certificate")):
            with pytest.raises(harness.Problem, match=reason):
                harness.Host(where, agents.TOKEN, pin).ask("GET", "/v1/session")
        silent = host.connect()
        silent.settimeout(5)
        assert silent.recv(1) == b""  # a handshake that never comes is not waited for
        again = harness.Host(where, agents.TOKEN, certificate.fingerprint.upper())
        assert again.ask("GET", "/v1/session")
        again.close()
        assert {line["status"] for line in host.log()} <= {0, 200}


def test_no_connection_is_made_behind_the_pins_back(harness: Any, tmp_path: Path) -> None:
    """A connection that ended is not opened again by the standard library, which knows no pin."""
    certificate = _certificate(tmp_path)
    with serving(tmp_path / "host", certificate=certificate) as host:
        side = harness.Host(f"https://127.0.0.1:{host.port}", agents.TOKEN, certificate.fingerprint)
        side.ask("GET", "/v1/session")
        side._connection.close()
        side._pin = "0" * 64
        with pytest.raises(harness.Problem, match="another certificate"):
            side.ask("GET", "/v1/session")


def test_http_where_https_is_spoken_is_not_taken_for_the_host(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    with serving(tmp_path / "host", certificate=certificate) as host:
        stream = host.connect()
        stream.sendall(b"GET /v1/session HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in stream.recv(100)
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(host.connect(), server_hostname="host")
