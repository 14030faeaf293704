"""Small tables of networks, and the command line without a process of its own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from conftest import Done
from typer.testing import CliRunner

from hwnas.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

OPERATIONS = ("skip", "conv", "pool", "none")
COLUMNS = ("first", "second", "third")
GRID = ("--space", "tabular:grid.csv", "--ops", "first,second,third", "--empty", "skip")
SEARCH = ("search", *GRID, "--score", "acc", "--cost", "latency=ms", "--cost", "heat=mj")


def grid(seed: int, keep: float = 1.0) -> pd.DataFrame:
    """Return rows of all combinations, or a share of them; scores may be negative."""
    rng = np.random.default_rng(seed)
    every = list(itertools.product(OPERATIONS, repeat=len(COLUMNS)))
    chosen = rng.permutation(len(every))[: max(2, int(keep * len(every)))]
    # One row holds an empty position, whatever was left out.
    rows = [every[i] for i in sorted({0, *map(int, chosen)})]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["acc"] = rng.normal(size=len(rows)).round(3)
    frame["ms"] = rng.uniform(1, 10, len(rows)).round(3)
    frame["mj"] = rng.uniform(0, 5, len(rows)).round(3)
    return frame


@dataclass(frozen=True)
class Prompt:
    """Runs `hwnas` in this process, in the current folder."""

    folder: Path

    def __call__(self, *arguments: str) -> Done:
        done = CliRunner().invoke(app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prompt:
    """A folder with grid.csv."""
    monkeypatch.chdir(tmp_path)
    grid(0).to_csv("grid.csv", index=False)
    return Prompt(tmp_path)


def best(frame: pd.DataFrame, **limits: float) -> dict[str, Any]:
    """Return the row with the best score within limits on its columns."""
    inside = frame[np.logical_and.reduce([frame[name] <= limits[name] for name in limits])]
    return dict(inside.loc[inside["acc"].idxmax()])
