"""tflite-runtime in its own environment: same numbers, its own clock, one line when it fails."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from contents import in_8_bits
from functional import relative_error, run

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.graph import random_weights
from hwnas.measure import pinned
from hwnas.spaces import PUBLISHED, SPACES, find_space
from hwnas.targets.backend import local_backend
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite.emitter import emit
from hwnas.targets.tflite.remote import DEFAULT_PYTHON, VARIABLE, RemoteRuntime
from hwnas.targets.tflite.runtime import LiteRt

PYTHON = os.environ.get(VARIABLE) or str(Path(__file__).parent.parent / DEFAULT_PYTHON)
SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)

needs_runtime = pytest.mark.skipif(
    not Path(PYTHON).exists(), reason=f"no {PYTHON}: make tflite-runtime"
)


@pytest.fixture(scope="module")
def remote() -> RemoteRuntime:
    return RemoteRuntime(PYTHON)


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@needs_runtime
def test_it_agrees_with_torch_functions_and_litert(remote: RemoteRuntime) -> None:
    graph = SMALL.graph(SMALL.add(SMALL.start(), (1, 2)))
    weights = random_weights(graph, 0)
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    model = emit(Content(graph, weights))
    found = remote.load(model).predict(images)
    assert relative_error(found, run(graph, weights, images)) < 1e-5
    assert relative_error(found, LiteRt(model).predict(images)) < 1e-5


@needs_runtime
def test_every_part_and_8_bit_networks_run(remote: RemoteRuntime) -> None:
    for key in SMALL.lookup_keys():
        graph = SMALL.part_graph(key)
        weights, images = random_weights(graph, 0), np.ones((1, *graph.input_shape), np.float32)
        found = remote.load(emit(Content(graph, weights))).predict(images)
        expected = run(graph, weights, images)
        assert found.shape == expected.shape
        assert relative_error(found, expected) < 1e-5
    graph = SMALL.graph(SMALL.start())
    model = emit(in_8_bits(graph, random_weights(graph, 0)))
    images = np.random.default_rng(0).random((2, 3, 32, 32)).astype(np.float32)
    assert relative_error(remote.load(model).predict(images), LiteRt(model).predict(images)) < 0.1


@needs_runtime
def test_the_worker_times_itself_and_large_networks_take_longer(remote: RemoteRuntime) -> None:
    space = SPACES["rcnet-imagenet"]
    small, large = SMALL.graph(SMALL.start()), space.graph(space.parse(PUBLISHED["rcnet-imagenet"]))
    sessions = [
        remote.load(emit(Content(graph, random_weights(graph, 0)))) for graph in (small, large)
    ]
    start = time.perf_counter()
    times = [min(session.elapsed_ms() for _ in range(10)) for session in sessions]
    assert 0 < 10 * times[0] < times[1]
    assert sum(times) * 10 < 1e3 * (time.perf_counter() - start)


@needs_runtime
def test_pinning_this_process_pins_the_worker(remote: RemoteRuntime) -> None:
    graph = SMALL.graph(SMALL.start())
    session = remote.load(emit(Content(graph, random_weights(graph, 0))))
    worker = session._worker._process.pid
    with pinned(1):
        session.elapsed_ms()
        assert os.sched_getaffinity(worker) == os.sched_getaffinity(0)
        assert len(os.sched_getaffinity(worker)) == 1
    session.elapsed_ms()
    assert os.sched_getaffinity(worker) == os.sched_getaffinity(0)


@needs_runtime
def test_sessions_that_nobody_holds_are_dropped(remote: RemoteRuntime) -> None:
    graph = SMALL.graph(SMALL.start())
    model = emit(Content(graph, random_weights(graph, 0)))
    session = remote.load(model)
    worker, number = session._worker, session._number
    del session
    gc.collect()
    assert number in worker.dropped
    remote.load(model)
    with pytest.raises(UserError, match="KeyError"):
        worker.ask("run", number=number)


@needs_runtime
def test_the_probe_loads_a_model_and_the_target_finds_the_runtime() -> None:
    profile = find_target("tflite-runtime")
    backend = local_backend(profile.runtime, profile.precision, PYTHON)
    assert backend is not None
    assert backend.version().startswith("2.14")


@needs_runtime
def test_a_worker_that_dies_is_told_in_one_line() -> None:
    graph = SMALL.graph(SMALL.start())
    session = RemoteRuntime(PYTHON).load(emit(Content(graph, random_weights(graph, 0))))
    os.kill(session._worker._process.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="ended with code -9") as caught:
        session.elapsed_ms()
    assert "\n" not in str(caught.value)


@needs_runtime
def test_a_worker_ends_with_its_backend() -> None:
    remote = RemoteRuntime(PYTHON)
    remote.version()
    process = remote._worker._process
    del remote
    gc.collect()
    assert process.returncode == 0


def test_a_python_that_is_not_there_is_told_with_the_remedy() -> None:
    with pytest.raises(UserError, match="numpy<2") as caught:
        RemoteRuntime("/nowhere/python").version()
    assert "/nowhere/python" in str(caught.value)
    assert VARIABLE in str(caught.value)


def test_a_python_without_the_runtime_is_told_with_the_remedy() -> None:
    with pytest.raises(UserError, match="numpy<2") as caught:
        RemoteRuntime(sys.executable).version()
    assert "tflite_runtime" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_program_that_is_no_python_is_told_in_one_line() -> None:
    with pytest.raises(UserError, match="ended with code"):
        RemoteRuntime("/bin/false").version()


def test_the_variable_goes_before_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/elsewhere/python")
    with pytest.raises(UserError, match="/elsewhere/python"):
        RemoteRuntime(PYTHON).version()
