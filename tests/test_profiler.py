"""A real profile on ONNX Runtime, small: complete, checked, and resumed after an interruption."""

from __future__ import annotations

import dataclasses
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.lut.correction import count_matrix
from hwnas.lut.storage import load, save
from hwnas.profiler.clock import LocalClock
from hwnas.profiler.plan import check_plan, make_plan
from hwnas.profiler.protocol import EXTRA_SHARE, Profiler
from hwnas.profiler.recording import open_rounds, rounds_done
from hwnas.progress import Advance, Silent
from hwnas.spaces import SPACES
from hwnas.targets.backend import local_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE = SPACES["rcnet-digits"]
PLAN = dataclasses.replace(
    make_plan(SPACE, calibration=20, validation=30), passes=2, batch=25, rounds=6
)
TOTAL = len(PLAN.batches) * PLAN.rounds
MOST = TOTAL + PLAN.rounds + int(EXTRA_SHARE * TOTAL)


class CountedRounds(Silent):
    """Counts timed rounds and stops, like Ctrl-C, after some of them."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.rounds, self.resumed, self.stop_after = 0, 0, stop_after

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        def advance(steps: int = 1, note: str = "") -> None:
            if not note:
                self.resumed = steps
                return
            self.rounds += 1
            if self.rounds == self.stop_after:
                raise KeyboardInterrupt

        yield advance


def profiler(reporter: Silent) -> Profiler:
    backend = local_backend("onnxruntime")
    assert backend is not None
    return Profiler(find_target("onnx-cpu"), SPACE, LocalClock(SPACE, backend, 1), reporter)


def test_a_profile_is_complete_checked_and_resumable(tmp_path: Path) -> None:
    partial = tmp_path / ".partial" / "p.jsonl"
    with pytest.raises(KeyboardInterrupt):
        profiler(CountedRounds(stop_after=8)).run(partial, plan=PLAN)
    partial.write_text(partial.read_text() + '[0, [["cut by a k')
    reporter = CountedRounds()
    table = profiler(reporter).run(partial, plan=PLAN)
    assert reporter.resumed == 8
    assert TOTAL - 8 <= reporter.rounds <= MOST - 8
    assert not partial.parent.exists()
    assert set(table.rows) == set(SPACE.lookup_keys())
    assert all(TOTAL <= row.samples <= MOST for row in table.rows.values())
    assert all(row.source == "measured" for row in table.rows.values())
    check = table.meta["validation"]
    assert check["networks"] == len(table.held_out) == 30
    assert check["mape"] < 0.5
    assert table.meta["runtime"]["name"] == "onnxruntime"
    save(table, tmp_path / "table")
    loaded = load(tmp_path / "table")
    assert loaded.meta["validation"] == check
    assert [n.arch for n in loaded.calibration] == [n.arch for n in table.calibration]
    assert len(loaded.calibration) == 20
    arch = SPACE.parse(table.held_out[0].arch)
    assert loaded.latency_ms(arch) == pytest.approx(table.held_out[0].predicted_ms, rel=1e-6)


def test_the_check_never_sees_a_network_of_the_correction() -> None:
    for space in SPACES.values():
        plan = make_plan(space)
        assert not set(plan.calibration) & set(plan.validation)
        assert len(set(plan.validation)) == len(plan.validation) >= 30
        assert sum(map(len, plan.batches)) == plan.passes * len(plan.networks)
        times = Counter(arch for batch in plan.batches for arch in batch)
        assert set(times.values()) == {plan.passes}


def test_every_key_is_in_several_networks_of_the_correction() -> None:
    for space in SPACES.values():
        counts = count_matrix(
            space.lookup_keys(), [space.parts(arch) for arch in make_plan(space).calibration]
        )
        assert (counts > 0).sum(axis=0).min() >= 3


def test_a_fresh_check_draws_networks_that_the_table_has_never_seen() -> None:
    plan = make_plan(SPACE)
    seen = frozenset(plan.networks)
    first, second = (check_plan(SPACE, 50, seed, seen).validation for seed in range(2))
    assert not seen & {*first, *second}
    assert len(set(first)) == 50
    assert first != second


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.sampled_from([b"", b"\0\0\0", b"\xff\xfe", b"5\n", b"[5]\n"]))
def test_whatever_a_power_cut_leaves_whole_rounds_are_kept(length: int, garbage: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "p.jsonl"
        recording = open_rounds(path, {"cpu": "a"}, fresh=False)
        for number in range(4):
            recording.append((number // 2, [("reference", 1.0 + number), ("part", 0.5)]))
        whole = path.read_bytes()
        path.write_bytes(whole[:length] + garbage)
        kept = open_rounds(path, {"cpu": "a"}, fresh=False)
        assert kept.entries == recording.entries[: len(kept.entries)]
        assert len(kept.entries) >= whole[:length].count(b"\n") - 1
        kept.append((7, [("reference", 2.0)]))
        assert open_rounds(path, {"cpu": "a"}, fresh=False).entries == kept.entries


def test_a_recording_that_cannot_be_written_is_told_before_anything_is_timed(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--workspace"):
        profiler(Silent()).run(tmp_path / "file" / "p.jsonl", plan=PLAN)


def test_rounds_of_another_machine_are_not_reused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    recording = open_rounds(path, {"cpu": "a"}, fresh=False)
    recording.append((0, [("reference", 1.0), ("part", 0.5)]))
    assert rounds_done(open_rounds(path, {"cpu": "a"}, fresh=False), 0) == 1
    assert open_rounds(path, {"cpu": "a"}, fresh=False).entries == recording.entries
    assert rounds_done(open_rounds(path, {"cpu": "b"}, fresh=False), 0) == 0
    open_rounds(path, {"cpu": "b"}, fresh=False).append((0, [("reference", 1.0)]))
    assert rounds_done(open_rounds(path, {"cpu": "b"}, fresh=True), 0) == 0
