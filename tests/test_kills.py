"""kill -9 at any moment, then the same again: the same result, and nothing is evaluated twice."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import searching
from searching import comparable, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def starter() -> Iterator[subprocess.Popen[str]]:
    """A program that starts searches."""
    command = [sys.executable, searching.__file__]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    root = str(Path(searching.__file__).parents[1])
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root}, **pipes) as program:
        yield program
        assert program.stdin is not None
        program.stdin.close()


def _seconds(starter: subprocess.Popen[str], kill_after_s: float = 60, **arguments: Any) -> float:
    """Search; return the seconds that it took, 0 if it was killed."""
    assert starter.stdin is not None
    assert starter.stdout is not None
    starter.stdin.write(json.dumps({"kill_after_s": kill_after_s, **arguments}) + "\n")
    starter.stdin.flush()
    return float(starter.stdout.readline())


def _committed(folder: Path) -> set[str]:
    store = folder / "evaluations.sqlite"
    if not store.exists():
        return set()
    connection = sqlite3.connect(store)
    try:
        rows = connection.execute("SELECT network, replicate FROM evaluations").fetchall()
    except sqlite3.OperationalError:  # killed before the table was made
        return set()
    finally:
        connection.close()
    return {f"{network} {replicate}" for network, replicate in rows}


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


# The share of a whole search that the longest try lasts: workers take time to start.
@pytest.mark.parametrize(
    ("workers", "kills", "share"), [(0, 40, 0.4), (2, 10, 0.8)], ids=["alone", "workers"]
)
def test_kill_9_at_random_moments_changes_nothing(
    tmp_path: Path, starter: subprocess.Popen[str], workers: int, kills: int, share: float
) -> None:
    """Searches are killed again and again until they end, until there were enough kills.

    What may be evaluated again is only what was not committed when the kill came: at most one
    evaluation per worker.
    """
    rng = random.Random(workers)
    arguments: dict[str, Any] = {"spread_s": 0.005, "workers": workers}
    longest = _seconds(starter, folder=str(tmp_path / "timed"), **arguments)
    seed = done = 0
    while done < kills:
        arguments["seed"] = seed
        folder, committed = tmp_path / str(seed), [set[str]()]
        while not _seconds(
            starter,
            # Longer and longer, so that it ends also where a busy machine takes longer to start.
            rng.uniform(0, share * longest * (1 + len(committed) / 10)),
            folder=str(folder),
            log=f"log{len(committed) - 1}",
            **arguments,
        ):
            committed.append(_committed(folder))
            assert len(committed) < 100
        _require_nothing_twice(folder, committed, max(1, workers))
        result = json.loads((folder / "search.json").read_text())
        assert comparable(result) == comparable(run(tmp_path / f"undisturbed{seed}", seed=seed))
        done += len(committed) - 1
        seed += 1


def _require_nothing_twice(folder: Path, committed: list[set[str]], workers: int) -> None:
    """Compare what every attempt logged with what was committed before and after it."""
    for attempt, before in enumerate(committed):
        lines = _lines(folder / f"log{attempt}")
        assert len(lines) == len(set(lines))
        assert not before & set(lines)
        if attempt + 1 < len(committed):
            assert len(set(lines) - committed[attempt + 1]) <= workers
