"""kill -9 at any moment, then the same again: the same result, and nothing is evaluated twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
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


def _killed(starter: subprocess.Popen[str], after_s: float, **arguments: object) -> bool:
    """Start a search and kill it after a while; return False if it ended by itself before."""
    assert starter.stdin is not None
    assert starter.stdout is not None
    starter.stdin.write(json.dumps(arguments) + "\n")
    starter.stdin.flush()
    process = int(starter.stdout.readline())
    time.sleep(after_s)
    os.kill(process, signal.SIGKILL)
    status = int(starter.stdout.readline())
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


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


@pytest.mark.parametrize(
    ("workers", "kills", "longest_s"), [(0, 35, 0.12), (2, 15, 1.5)], ids=["alone", "workers"]
)
def test_kill_9_at_random_moments_changes_nothing(
    tmp_path: Path, starter: subprocess.Popen[str], workers: int, kills: int, longest_s: float
) -> None:
    """Searches are killed again and again until they end, until there were enough kills.

    What may be evaluated again is only what was not committed when the kill came: at most one
    evaluation per worker.
    """
    rng = random.Random(workers)  # noqa: S311
    seed = done = 0
    while done < kills:
        folder, committed = tmp_path / str(seed), [set[str]()]
        arguments = {"folder": str(folder), "workers": workers, "seed": seed, "spread_s": 0.02}
        while _killed(
            starter, rng.uniform(0, longest_s), log=f"log{len(committed) - 1}", **arguments
        ):
            committed.append(_committed(folder))
        logged = [_lines(folder / f"log{attempt}") for attempt in range(len(committed))]
        for attempt, lines in enumerate(logged):
            assert len(lines) == len(set(lines))
            assert not committed[attempt] & set(lines)
            if attempt + 1 < len(committed):
                assert len(set(lines) - committed[attempt + 1]) <= max(1, workers)
        undisturbed = run(tmp_path / f"undisturbed{seed}", seed=seed)
        result = json.loads((folder / "search.json").read_text())
        assert comparable(result) == comparable(undisturbed)
        done += len(committed) - 1
        seed += 1
