"""Sums of positive parts: what the fit recovers, and that it never goes below zero."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.lut.grid import Grid, fit_elements

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shell

POSITIONS, OPS = 8, 5
RAW_STEP = 1e-9


def networks(rng: np.random.Generator, count: int) -> Grid:
    """Random networks; op "0" is empty."""
    return Grid.of(rng.integers(OPS, size=(count, POSITIONS)).astype(str), "0")


def structured_ms(grid: Grid) -> np.ndarray:
    """Op times position: a fixed part of 3 ms, and stages that cost more from position 4 on."""
    times = [0.5 * int(op) * (2.0 if position >= 4 else 1.0) for position, op in grid.elements]
    return np.array([3.0, *times])


def test_a_known_table_is_recovered_from_noisy_sums() -> None:
    rng = np.random.default_rng(0)
    grid = networks(rng, 400)
    truth = structured_ms(grid) * np.exp(rng.normal(0, 0.1, len(grid.elements) + 1))
    times_ms = grid.counts @ truth * rng.normal(1, 0.01, 400)
    found = fit_elements(grid.counts, grid, times_ms, RAW_STEP)
    assert found.parts_ms[1:] == pytest.approx(truth[1:], rel=0.2)
    assert found.error == pytest.approx(0.01, rel=0.4)
    low, high = found.interval_ms
    assert np.mean((low <= truth) & (truth <= high)) >= 0.85


@pytest.mark.parametrize("seed", range(4))
def test_a_structured_truth_is_told_by_fewer_networks_than_least_squares_needs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = networks(rng, 240)
    truth = grid.counts @ structured_ms(grid)
    times_ms, train = truth * rng.normal(1, 0.02, 240), slice(0, 40)
    fitted = fit_elements(grid.counts[train], grid, times_ms[train], RAW_STEP).parts_ms
    plain = np.linalg.lstsq(grid.counts[train], times_ms[train], rcond=None)[0]
    error, plain_error = (
        np.abs(grid.counts[40:] @ parts / truth[40:] - 1).mean() for parts in (fitted, plain)
    )
    assert error < 0.03
    assert error < 0.5 * plain_error


def test_networks_timed_while_the_device_was_busy_hardly_count() -> None:
    rng = np.random.default_rng(3)
    grid = networks(rng, 300)
    truth = grid.counts @ structured_ms(grid)
    times_ms = truth * rng.normal(1, 0.01, 300)
    times_ms[:30] *= 1.6
    found = fit_elements(grid.counts, grid, times_ms, RAW_STEP)
    assert np.abs(grid.counts @ found.parts_ms / truth - 1).mean() < 0.01
    assert found.degrees < 5


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e4), st.floats(0, 1.5))
def test_parts_are_above_zero_and_scale_with_the_times_whatever_they_are(
    seed: int, scale: float, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    grid = networks(rng, 30)
    times_ms = np.exp(rng.normal(0, noise, 30))
    one = fit_elements(grid.counts, grid, times_ms, RAW_STEP)
    other = fit_elements(grid.counts, grid, scale * times_ms, scale * RAW_STEP)
    assert np.isfinite(one.parts_ms).all()
    assert one.parts_ms.min() > 0
    assert np.isfinite(one.log_sd).all()
    assert other.parts_ms == pytest.approx(scale * one.parts_ms, rel=1e-3)


def write_grid(path: Path, change: dict[int, str] | None = None) -> None:
    rng = np.random.default_rng(0)
    grid_ops = rng.integers(OPS, size=(120, POSITIONS))
    grid = Grid.of(grid_ops.astype(str), "0")
    lines = [",".join([*(f"b{p}" for p in range(POSITIONS)), "ms"])]
    for ops, ms in zip(grid_ops, grid.counts @ structured_ms(grid), strict=True):
        lines.append(",".join([*map(str, ops), f"{ms:.4f}"]))
    for line, text in (change or {}).items():
        lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")


COLUMNS = ",".join(f"b{p}" for p in range(POSITIONS))
GRID = ("lut", "fit", "grid.csv", "--ops", COLUMNS, "--latency", "ms", "--empty", "0")


def test_the_grid_of_any_benchmark_becomes_a_csv_of_its_ops(shell: Shell) -> None:
    write_grid(shell.folder / "grid.csv")
    told = shell(*GRID, "--out", "parts.csv", "--json").must().json
    assert told["validation"]["mape"] < 0.01
    assert told["validation"]["failures"] == []
    assert told["elements"] == POSITIONS * (OPS - 1)
    lines = (shell.folder / "parts.csv").read_text().splitlines()
    assert lines[0].startswith("position,op,latency_ms")
    assert len(lines) == 2 + POSITIONS * OPS
    assert json.dumps(told)


@pytest.mark.parametrize(
    ("change", "arguments", "said"),
    [
        ({7: "1,1,1,1,1,1,1,1,nan"}, GRID, "grid.csv, line 7"),
        ({7: "1,1,1,1,1,1,1,1,-2"}, GRID, "grid.csv, line 7"),
        ({7: "1,1,1,1,1,1,1,1"}, GRID, "grid.csv, line 7"),
        ({7: "1,,1,1,1,1,1,1,2"}, GRID, "grid.csv, line 7"),
        ({}, (*GRID[:-1], "9"), "--empty '9'"),
        ({}, ("lut", "fit", "grid.csv", "--ops", "b0,b99", "--latency", "ms"), "'b99'"),
        ({}, ("lut", "fit", "grid.csv", "--ops", "b0,b0", "--latency", "ms"), "twice"),
        ({}, ("lut", "fit", "grid.csv", "--ops", "b0"), "--latency"),
        ({}, ("lut", "fit", "grid.csv"), "--target"),
        ({}, ("lut", "fit", "none.csv", "--ops", "b0", "--latency", "ms"), "none.csv"),
    ],
)
def test_a_wrong_grid_or_command_is_one_line(
    shell: Shell, change: dict[int, str], arguments: tuple[str, ...], said: str
) -> None:
    write_grid(shell.folder / "grid.csv", change)
    done = shell(*arguments).must(2)
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not list(shell.folder.glob("*parts.csv"))
