"""The evaluation store: committed means kept."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from hwnas.errors import UserError
from hwnas.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import sys
from pathlib import Path
from hwnas.store import open_store
with open_store(Path(sys.argv[1]), sys.argv[2], {}) as store:
    for number in range(int(sys.argv[3])):
        store.put([(f"net{number}", 0, {"score": number})])
        print(number, flush=True)
"""


def test_results_are_kept_by_network_context_and_replicate(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "evaluations.sqlite"
    with open_store(path, "one", {"recipe": 1}) as store:
        assert store.get("a") is None
        store.put([("a", 0, {"score": 0.5})])
        store.put([("a", 1, {"score": 0.6})])
    with open_store(path, "two", {"recipe": 2}) as store:
        assert store.get("a") is None
    with open_store(path, "one", {"recipe": 1}) as store:
        assert store.get("a") == {"score": 0.5}
        assert store.get("a", 1) == {"score": 0.6}
        store.put([("a", 1, {"score": 0.7})])
        assert store.get("a", 1) == {"score": 0.7}


def test_kill_9_loses_nothing_that_was_put(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.sqlite"
    command = [sys.executable, "-c", WRITER, str(path), "one", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        seen = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        seen += [int(line) for line in writer.stdout.read().splitlines()]
    with open_store(path, "one", {}) as store:
        assert all(store.get(f"net{number}") == {"score": number} for number in seen)


def test_two_processes_write_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.sqlite"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), context, "60"], stdout=subprocess.DEVNULL
        )
        for context in ("one", "two")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    for context in ("one", "two"):
        with open_store(path, context, {}) as store:
            assert all(store.get(f"net{n}") == {"score": n} for n in range(60))


def test_a_new_store_waits_for_another_process_that_makes_it(tmp_path: Path) -> None:
    """SQLite's own timeout does not wait for a lock to change the journal mode of a file."""
    path = tmp_path / "evaluations.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE something (made INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    release.start()
    with open_store(path, "one", {}) as store:
        store.put([("a", 0, {"score": 0.5})])
        assert store.get("a") == {"score": 0.5}
    release.join()
    other.close()


def test_another_file_is_not_mistaken_for_a_store(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.sqlite"
    path.write_text("this is no database " * 100)
    with pytest.raises(UserError, match=r"evaluations\.sqlite"), open_store(path, "one", {}):
        pass
    assert path.read_text().startswith("this is no database")
