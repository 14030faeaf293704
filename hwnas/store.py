"""Evaluations on disk: committed before they are used, never done twice."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TIMEOUT_S = 30.0
"""How long to wait while another process writes."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS evaluations (
    network TEXT NOT NULL,      -- canonical architecture
    context TEXT NOT NULL,      -- fingerprint of recipe, data, proxy geometry and seed
    replicate INTEGER NOT NULL,
    result TEXT NOT NULL,       -- JSON
    created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (network, context, replicate)
);
CREATE TABLE IF NOT EXISTS contexts (
    context TEXT PRIMARY KEY,
    description TEXT NOT NULL   -- JSON: what the fingerprint is of
);
"""


class EvaluationStore:
    """Results by network, context and replicate; one file serves all runs of a workspace."""

    def __init__(self, connection: sqlite3.Connection, context: str) -> None:
        self._connection = connection
        self._context = context

    def get(self, network: str, replicate: int = 0) -> Any | None:
        """Return the stored result, or None."""
        row = self._connection.execute(
            "SELECT result FROM evaluations WHERE network = ? AND context = ? AND replicate = ?",
            (network, self._context, replicate),
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, results: Sequence[tuple[str, int, Any]]) -> None:
        """Commit results (network, replicate, result); a power cut afterwards loses none of them.

        Raises:
            UserError: the disk is full, or cannot be written any more.
        """
        rows = [(net, self._context, number, json.dumps(value)) for net, number, value in results]
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO evaluations (network, context, replicate, result)"
                    " VALUES (?, ?, ?, ?)",
                    rows,
                )
        except sqlite3.Error as error:
            raise UserError(
                f"a score could not be kept ({error}). Make room or mend permissions in the "
                "workspace; the same command then goes on where it stopped."
            ) from None


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Set the journal mode; SQLite's own timeout does not wait here for another process."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def open_store(path: Path, context: str, description: Any) -> Iterator[EvaluationStore]:
    """Open the store for one context, making the file when it is missing.

    Args:
        path: the SQLite file.
        context: fingerprint of everything that decides a score apart from the network.
        description: what that is a fingerprint of, kept for people.

    Raises:
        UserError: the file cannot be made, or is no evaluation store.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=TIMEOUT_S)
        try:
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(SCHEMA)
            with connection:
                connection.execute(
                    "INSERT OR IGNORE INTO contexts VALUES (?, ?)",
                    (context, json.dumps(description, sort_keys=True)),
                )
        except sqlite3.Error:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"{path} cannot be used as evaluation store ({error}). Move it away, or choose "
            "another place with --workspace."
        ) from None
    try:
        yield EvaluationStore(connection, context)
    finally:
        connection.close()
