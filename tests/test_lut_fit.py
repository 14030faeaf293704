"""`hwnas lut fit`: a table from whole-network times alone, on devices whose truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.lut.library import Library
from hwnas.lut.storage import load, save
from hwnas.lut.timing_files import read_grid, read_timings
from hwnas.profiler.fitted import fit_table
from hwnas.spaces import SPACES

if TYPE_CHECKING:
    from pathlib import Path

SPACE = SPACES["rcnet-digits"]
TRUTH = {key: 0.02 + SPACE.part_graph(key).madds / 2e6 for key in SPACE.lookup_keys()}


def write_times(path: Path, count: int, noise: float = 0.01) -> None:
    rng = np.random.default_rng(0)
    lines = ["arch,latency_ms"]
    for _ in range(count):
        arch = SPACE.sample(rng)
        ms = sum(TRUTH[key] for key in SPACE.parts(arch)) * rng.normal(1, noise)
        lines.append(f'"{SPACE.format(arch)}",{ms:.6f}')
    path.write_text("\n".join(lines) + "\n")


def test_networks_that_the_fit_never_saw_are_predicted_within_its_noise(tmp_path: Path) -> None:
    write_times(tmp_path / "times.csv", 160)
    timings = read_timings(tmp_path / "times.csv", SPACE)
    table = fit_table(find_target("iphone5s"), SPACE, timings)
    assert table.meta["validation"]["mape"] < 0.02
    assert table.meta["validation"]["failures"] == []
    assert all(row.latency_ms > 0 and row.source == "fitted" for row in table.rows.values())
    fresh = [SPACE.sample(np.random.default_rng(seed)) for seed in range(100, 130)]
    truth = [sum(TRUTH[key] for key in SPACE.parts(arch)) for arch in fresh]
    assert [table.latency_ms(arch) for arch in fresh] == pytest.approx(truth, rel=0.06)
    folder = Library(tmp_path).folder("iphone5s", SPACE.name)
    save(table, folder)
    assert load(folder).margin(0.9) == pytest.approx(table.margin(0.9), abs=1e-6)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("arch,latency_us\n", "latency_ms"),
        ('arch,latency_ms\n"s0",nan\n', "line 2"),
        ('arch,latency_ms\n"s0",-3\n', "line 2"),
        ('arch,latency_ms\n"9,9",3\n', "line 2"),
        ("", "arch"),
    ],
)
def test_a_file_that_is_wrong_is_told_by_name_and_line(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "times.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=said) as told:
        read_timings(path, SPACE)
    assert "times.csv" in str(told.value)


def test_too_few_networks_are_refused(tmp_path: Path) -> None:
    write_times(tmp_path / "times.csv", 20)
    with pytest.raises(UserError, match="20"):
        read_timings(tmp_path / "times.csv", SPACE)


def test_a_grid_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text("a,b,ms\n1,2,3\n")
    with pytest.raises(UserError, match="c"):
        read_grid(tmp_path / "grid.csv", ["a", "c"], "ms")
