"""What strangers and broken devices send: refused in one line, logged, and harmless."""

from __future__ import annotations

import gzip
import json
import resource
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import agents
import pytest
from agent_server import BEARER, JSON, QUICK, Served, serving

from hwnas.agent.http.auth import new_token, require_token, token_hash
from hwnas.agent.http.request_log import LARGEST_LOG, Entry, RequestLog
from hwnas.agent.session.demand import Work
from hwnas.agent.wire import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hwnas.agent.wire import Offer


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("shared")) as served:
        yield served


@pytest.fixture
def idle(shared: Served) -> Served:
    """A host that no device has come to; its log begins with the test."""
    shared.skipped += len(shared.log())
    return shared


@pytest.fixture
def offer(host: Served) -> Offer:
    """A job that the device has in work."""
    host.host.session.ask(agents.work(agents.jobs(1)[0]))
    return host.next(host.pair())


def deliver(host: Served, offer: Offer) -> None:
    """Show that the host still takes what is right."""
    answer: list[Any] = []

    def post() -> None:
        answer.append(host.call("POST", "/v1/results", agents.delivery_json(offer)))

    device = threading.Thread(target=post)
    device.start()
    with host.host.result() as result:
        assert len(result.rounds) == 3
    device.join()
    assert answer == [(200, {"status": "accepted"})]


def refused(host: Served, status: int, reason: str) -> None:
    """Require a line in the log, and that refusals were told on the terminal."""

    def logged() -> list[dict[str, Any]]:
        return [e for e in host.log() if e["status"] == status and reason in e["reason"]]

    _wait_for(logged)
    line = logged()[-1]
    assert set(line) == {"time", "peer", "method", "path", "status", "received", "sent", "reason"}
    _wait_for(lambda: any(line.startswith("refused 127.0.0.1:") for line in host.told.lines))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        f"Bearer {agents.TOKEN[:-1]}",
        f"Bearer {agents.TOKEN}x",
        f"Basic {agents.TOKEN}",
        "Bearer " + "a" * 5000,
        "Bearer \u00e9\u00e8",
        token_hash(agents.TOKEN),
    ],
)
def test_without_the_token_nothing_is_told_not_even_which_paths_there_are(
    idle: Served, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for path in ("/v1/session", "/v1/jobs/next", "/v1/models/x", "/", "/v2"):
        status, answer = idle.call("POST", path, {"a": 1}, headers, token=False)
        assert status == 401
        assert answer["error"] in ("no-token", "wrong-token")
    refused(idle, 401, "token")


def test_a_token_shown_twice_is_none() -> None:
    one = (b"authorization", f"Bearer {agents.TOKEN}".encode())
    require_token([one], token_hash(agents.TOKEN))
    with pytest.raises(Refused):
        require_token([one, one], token_hash(agents.TOKEN))


def test_tokens_are_random_and_never_written(host: Served, tmp_path: Path, offer: Offer) -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) * 4 >= 128
    host.call("GET", f"/v1/session?token={agents.TOKEN}")
    deliver(host, offer)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert agents.TOKEN.encode() not in path.read_bytes(), path


def test_a_replayed_result_is_a_duplicate_and_counts_once(host: Served, offer: Offer) -> None:
    deliver(host, offer)
    for _ in range(3):
        assert host.call("POST", "/v1/results", agents.delivery_json(offer)) == (
            200,
            {"status": "duplicate"},
        )


def _nothing_was_taken(host: Served, offer: Offer) -> None:
    assert host.host.session.collect(0) is None
    deliver(host, offer)


def _large(host: Served, headers: str, chunk: bytes, most: int) -> int:
    """Send a body until the host stops reading; return how much was sent."""
    stream = host.connect()
    stream.settimeout(5)
    stream.sendall(_head("POST", "/v1/results", headers) + b"\r\n")
    sent = 0
    with suppress(OSError), stream:
        while sent < most:
            stream.sendall(chunk)
            sent += len(chunk)
    return sent


@pytest.mark.parametrize("chunked", [False, True])
def test_a_gigabyte_is_cut_off_early_and_not_kept(
    host: Served, offer: Offer, chunked: bool
) -> None:
    block = b" " * (1 << 16)
    if chunked:
        headers, chunk = "Transfer-Encoding: chunked", b"10000\r\n" + block + b"\r\n"
    else:
        headers, chunk = f"Content-Length: {1 << 30}", block
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sent = _large(host, headers, chunk, 1 << 30)
    assert sent < 64 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
    refused(host, 413, "more than")
    assert host.log()[-1]["received"] <= (4 << 20)
    _nothing_was_taken(host, offer)


def test_who_sends_no_more_than_is_read_finds_the_answer(idle: Served) -> None:
    status, answer = idle.call("POST", "/v1/session", b" " * 200_000, JSON)
    assert (status, answer["error"]) == (413, "too-large")
    status, answer = idle.call("POST", "/v1/results", b" " * 900_000, JSON, token=False)
    assert (status, answer["error"]) == (401, "no-token")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/../../state.json",
        "/v1/models/..%2f..%2fstate.json",
        "/v1/models/%2e%2e/state.json",
        "/v1/models//etc/passwd",
        "/v1/models/" + "0" * 64,
        "/v1/models/" + "A" * 10_000,
        "/v1/models/\\..\\state.json",
        "/v1/models/%00",
    ],
)
def test_only_models_of_this_profile_are_served(idle: Served, path: str) -> None:
    status, answer = idle.call("GET", path)
    assert status == 404
    assert answer["error"] in ("no-model", "no-path")
    refused(idle, 404, "no such")


NESTED = b"[" * 100_000 + b"]" * 100_000
DOCUMENTS = {
    "not JSON": b"{'a': 1}",
    "empty": b"",
    "nested deeply": NESTED,
    "nested in a field": b'{"schema": ' + NESTED[:20_000] + b"}",
    "many keys": b"{" + b",".join(b'"%d":0' % i for i in range(6000)) + b"}",
    "not UTF-8": b'{"schema": "\xff\xfe"}',
    "a list": b"[1, 2]",
    "null": b"null",
    "huge integer": b'{"schema": ' + b"9" * 20_000 + b"}",
    "lone surrogate": b'{"schema": "\\ud800"}',
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_bombs_and_garbage_are_told_what_they_are_not(idle: Served, document: bytes) -> None:
    for path in ("/v1/session", "/v1/jobs/next", "/v1/results", "/v1/power"):
        start = time.monotonic()
        status, answer = idle.call("POST", path, document, JSON)
        assert status in (400, 413)
        assert answer["error"] in ("document", "too-large")
        assert time.monotonic() - start < 2
        refused(idle, status, "")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (gzip.compress(b"{}" * 10_000_000), JSON | {"Content-Encoding": "gzip"}, 415),
        (b"{}", JSON | {"Content-Encoding": "identity, gzip"}, 415),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {}, 415),
    ],
)
def test_only_plain_json_is_read(
    idle: Served, body: bytes, headers: dict[str, str], status: int
) -> None:
    answered, answer = idle.call("POST", "/v1/session", body, headers)
    assert answered == status
    assert answer["error"] in ("content-type", "content-encoding")
    refused(idle, status, "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/v1/session", 405), ("DELETE", "/v1/models/x", 405), ("GET", "/v1/results", 405)],
)
def test_methods_that_are_not_there(idle: Served, method: str, path: str, status: int) -> None:
    assert idle.call(method, path)[0] == status
    refused(idle, status, "")


UNKNOWN: dict[str, dict[str, Any]] = {
    "a field more": {"admin": True},
    "a wrong type": {"device_id": 7},
    "an id that is none": {"device_id": "../../x"},
    "a text too long": {"device": agents.hello().device.model_dump() | {"cpu": "x" * 201}},
}


@pytest.mark.parametrize("change", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_messages_hold_what_they_should_and_nothing_else(
    idle: Served, change: dict[str, Any]
) -> None:
    told = agents.hello().model_dump(mode="json", by_alias=True) | change
    status, answer = idle.call("POST", "/v1/session", told)
    assert (status, answer["error"]) == (400, "document")
    assert idle.host.session.state.paired is None


def test_another_version_is_told_so(idle: Served) -> None:
    told = agents.hello().model_dump(mode="json", by_alias=True) | {"schema": "hwnas-agent/2"}
    status, answer = idle.call("POST", "/v1/session", told)
    assert (status, answer["error"]) == (400, "version")
    assert "speaks hwnas-agent/1, the device 'hwnas-agent/2'" in answer["reason"]


@pytest.mark.parametrize(
    "ms", ["-1.0", "0", "NaN", "Infinity", "-Infinity", "1e999", '"1"', "null"]
)
def test_times_that_cannot_be_are_refused(host: Served, offer: Offer, ms: str) -> None:
    text = json.dumps(agents.delivery_json(offer))
    first = json.loads(text)["result"]["rounds"][0][0][1]
    status, answer = host.call("POST", "/v1/results", text.replace(str(first), ms, 1), JSON)
    assert (status, answer["error"]) == (400, "document")
    _nothing_was_taken(host, offer)


@pytest.mark.parametrize("bad", ["sha256", "output", "of another"])
def test_results_of_other_models_are_refused(host: Served, offer: Offer, bad: str) -> None:
    told = agents.delivery_json(offer)
    if bad == "sha256":
        told["models"]["net-0-0"]["sha256"] = "0" * 64
    elif bad == "output":
        told["models"]["net-0-0"]["output"][0] += 0.5
    else:
        told["models"]["net-0-0"] = told["models"]["net-0-1"]
    status, answer = host.call("POST", "/v1/results", told)
    assert (status, answer["error"]) == (422, "wrong-result")
    assert "net-0-0" in answer["reason"]
    refused(host, 422, "net-0-0")
    _nothing_was_taken(host, offer)


def test_another_device_gets_no_job_and_the_first_one_goes_on(host: Served, offer: Offer) -> None:
    other = agents.hello(agents.OTHER_DEVICE).model_dump(mode="json", by_alias=True)
    status, answer = host.call("POST", "/v1/session", other)
    assert (status, answer["error"]) == (409, "another-device")
    refused(host, 409, "another device")
    told = agents.delivery_json(offer) | {"device_id": agents.OTHER_DEVICE}
    assert host.call("POST", "/v1/results", told)[0] == 409
    deliver(host, offer)


def test_a_result_of_an_old_lease_is_refused(host: Served, offer: Offer) -> None:
    new = host.next(host.pair())
    status, answer = host.call("POST", "/v1/results", agents.delivery_json(offer))
    assert (status, answer["error"]) == (409, "superseded")
    refused(host, 409, "started anew")
    deliver(host, new)


def _head(method: str, path: str, *headers: str) -> bytes:
    """Return the head of a request with the token, but for the empty line."""
    told = {**BEARER, **JSON, "Host": "x"}
    lines = [f"{name}: {value}" for name, value in told.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, *headers, ""]).encode()


def _wait_for(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _drip(stream: socket.socket, text: bytes, every_s: float) -> float:
    """Send byte by byte; return the seconds until the host cut the connection."""
    start = time.monotonic()
    stream.settimeout(0.01)
    for byte in text:
        try:
            stream.send(bytes([byte]))
            if stream.recv(4096) == b"":
                break
        except TimeoutError:
            pass
        except OSError:
            break
        time.sleep(every_s)
    return time.monotonic() - start


def test_headers_that_come_drop_by_drop_end_the_connection(host: Served) -> None:
    seconds = _drip(host.connect(), b"GET /v1/session HTTP/1.1\r\n" + b"X: y\r\n" * 100, 0.05)
    assert QUICK.headers_s - 0.1 < seconds < 3
    refused(host, 0, "no complete headers within 0.6 s")


def test_headers_after_an_answer_have_no_more_time(host: Served, offer: Offer) -> None:
    stream = host.connect()
    stream.sendall(_head("GET", "/v1/session") + b"\r\n")
    assert stream.recv(4096).startswith(b"HTTP/1.1 200")
    assert _drip(stream, b"GET /v1/session HTTP/1.1\r\n" + b"X: y\r\n" * 100, 0.05) < 3
    deliver(host, offer)


def test_a_silent_connection_ends(host: Served) -> None:
    stream = host.connect()
    stream.settimeout(5)
    assert stream.recv(1) == b""


def test_a_body_that_comes_drop_by_drop_is_not_waited_for(host: Served, offer: Offer) -> None:
    stream = host.connect()
    stream.sendall(_head("POST", "/v1/results", "Content-Length: 1000") + b"\r\n")
    assert _drip(stream, b" " * 300, 0.05) < 4
    refused(host, 408, "no complete body within 0.6 s")
    deliver(host, offer)


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10,
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 40_000 + b"\r\n\r\n",
        b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ],
)
def test_what_is_not_http_is_cut(idle: Served, request_text: bytes) -> None:
    stream = idle.connect()
    stream.settimeout(5)
    stream.sendall(request_text)
    try:
        answer = stream.recv(4096)
    except ConnectionError:
        answer = b""
    assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    stream.close()
    _wait_for(lambda: idle.log_file.read_text())
    assert idle.call("GET", "/v1/session")[0] == 200


def test_a_thousand_connections_do_not_keep_the_device_out(host: Served, offer: Offer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2400 if hard == resource.RLIM_INFINITY else min(2400, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    crowd = []
    try:
        for _ in range(1000):
            crowd.append(host.connect())  # noqa: PERF401 - some may fail
        deliver(host, offer)
    finally:
        for stream in crowd:
            stream.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    _wait_for(lambda: Counter(e["status"] for e in host.log())[0] >= 1000 - QUICK.connections)
    assert any("too many connections" in entry["reason"] for entry in host.log())
    assert len(host.told.lines) < 20  # told now and then, not a thousand times


def test_who_does_not_read_an_answer_is_cut(host: Served, offer: Offer) -> None:
    digest = host.models.add(b"x" * (32 << 20))
    stream = host.connect()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.sendall(_head("GET", f"/v1/models/{digest}") + b"\r\n")
    _wait_for(lambda: any(e.get("reason") == "the answer was not read" for e in host.log()))
    deliver(host, offer)


def test_a_model_can_be_fetched_from_where_it_was_cut(host: Served) -> None:
    digest, whole = host.models.add(agents.content("part-1")), agents.content("part-1")
    path = f"/v1/models/{digest}"
    assert host.call("GET", path) == (200, whole)
    assert host.call("GET", path, headers={"Range": "bytes=100-"}) == (206, whole[100:])
    for bad in (f"bytes={len(whole)}-", "bytes=5-9", "bytes=-5", "bytes=0-,5-", "lines=1-"):
        assert host.call("GET", path, headers={"Range": bad})[0] == 416


def test_nothing_a_stranger_sends_can_forge_a_line_or_steer_the_terminal(host: Served) -> None:
    stream = host.connect()
    stream.sendall(b"GET /%0a%1b[31m{%22time%22: HTTP/1.1\r\nHost: x\r\n\r\n")
    assert stream.recv(4096).startswith(b"HTTP/1.1 401")
    told = agents.hello().model_dump(mode="json", by_alias=True) | {"\x1b[2J\nx": 1}
    assert "\x1b" not in host.call("POST", "/v1/session", told)[1]["reason"]
    _wait_for(lambda: len(host.log()) == 2)
    assert host.told.lines
    assert all(line.isprintable() for line in host.told.lines)


def test_who_asked_is_told_by_the_connection_not_by_a_header(host: Served) -> None:
    assert host.call("GET", "/v1/session", headers={"X-Forwarded-For": "6.6.6.6"})[0] == 200
    _wait_for(host.log)
    assert host.log()[0]["peer"].startswith("127.0.0.1:")


def test_the_log_does_not_grow_without_end(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "agent.log", lambda _: None)
    for _ in range(3 * LARGEST_LOG // 2000):
        log.write(Entry("1.2.3.4:5", path="/" * 500, reason="x" * 1800))
    log.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sum(sizes) <= 2 * LARGEST_LOG + 4000


def test_a_job_with_no_networks_is_asked_and_answered_too(host: Served) -> None:
    job = agents.jobs(1, networks=0)[0]
    host.host.session.ask(Work(job, {}))
    deliver(host, host.next(host.pair()))
